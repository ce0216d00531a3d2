"""Modules of Flax and Equinox as layers."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.layers.base import Context, Layer, Params, Spec, State, describe_spec

__all__ = ["EquinoxLayer", "FlaxLayer"]


class _Foreign(Layer):
    """A layer around another library's module, which trains and cannot be saved."""

    module: Any

    def to_fields(self) -> dict[str, Any]:
        kind = type(self.module).__name__
        raise ConfigError(
            f"A network with a {type(self).__name__} cannot be saved: a model file holds data, and the module {kind} "
            "is code.",
            "Train and predict in one program, save the parameters yourself, or write the module as a Lamina Layer.",
        )

    def _traced(self, function: Any, in_spec: Spec) -> Any:
        """What ``function`` returns for a batch of two, as specs; ShapeError where the module refuses it."""
        batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), in_spec)
        try:
            return jax.eval_shape(function, batch)
        except Exception as error:  # whatever the module's own code raises
            kind = type(self.module).__name__
            raise ShapeError(f"the module {kind} fails on input {describe_spec(in_spec)}: {error}") from error


def _unbatched(tree: Any) -> Spec:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tree)


def _cast(tree: Any, x: Any) -> Any:
    """Floating-point leaves in the dtype of x, where that is floating-point."""
    dtype = jax.tree.leaves(x)[0].dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        return tree
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)


@dataclass(frozen=True, repr=False)
class FlaxLayer(_Foreign):
    """y = module(x): a module of Flax's linen API as a layer.

    Its collection "params" is trained; its other collections ("batch_stats") are state. A call argument named
    ``train``, ``training``, ``deterministic`` or ``use_running_average`` is set from the mode; in training the module
    has random numbers under the name "dropout". A network that holds one trains, and cannot be saved.

    Args:
        module: an unbound `flax.linen.Module` whose ``__call__`` takes a batch.

    Raises:
        ConfigError: for anything else.
        ShapeError: where the module fails on the input.
    """

    module: Any

    def __post_init__(self) -> None:
        from flax import linen

        if not isinstance(self.module, linen.Module):
            raise ConfigError(
                f"FlaxLayer takes an instance of flax.linen.Module, got {type(self.module).__name__}.",
                "An nnx module goes in as a function of x, or rewritten with flax.linen.",
            )

    def _mode(self, train: bool) -> dict[str, bool]:
        values = {"train": train, "training": train, "deterministic": not train, "use_running_average": not train}
        known = inspect.signature(type(self.module).__call__).parameters
        return {name: value for name, value in values.items() if name in known}

    def out_spec(self, in_spec: Spec) -> Spec:
        def run(batch: Any) -> Any:
            return self.module.init_with_output(jax.random.key(0), batch, **self._mode(False))[0]

        return _unbatched(self._traced(run, in_spec))

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        batch = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape), leaf.dtype), in_spec)
        variables = dict(self.module.init(key, batch, **self._mode(False)))
        return variables.pop("params", {}), variables

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        variables = {"params": _cast(params, x), **state}
        mode = self._mode(ctx.train)
        if not ctx.train:
            return self.module.apply(variables, x, **mode), state
        rngs = None if ctx.root_key is None else {"dropout": ctx.rng()}
        y, new_state = self.module.apply(variables, x, **mode, rngs=rngs, mutable=list(state))
        return y, dict(new_state)


@dataclass(frozen=True, repr=False, eq=False)
class EquinoxLayer(_Foreign):
    """y = module(x) for each example: an Equinox module as a layer.

    Its floating-point arrays are trained, starting from the values that the module holds: the key given to ``init``
    is not used, so make the module from a key of your own. The module sees one example at a time, without the batch
    axis, and in Equinox's own convention (its convolutions take channels first). In training a call argument ``key``
    gets random numbers; in evaluation the module is in inference mode. Stateful modules are not taken. A network that
    holds one trains, and cannot be saved; it equals only itself.

    Args:
        module: a callable `equinox.Module`.

    Raises:
        ConfigError: for anything else.
        ShapeError: where the module fails on the input.
    """

    module: Any

    def __post_init__(self) -> None:
        import equinox

        if not isinstance(self.module, equinox.Module) or not callable(self.module):
            raise ConfigError(f"EquinoxLayer takes a callable equinox.Module, got {type(self.module).__name__}.")

    def _split(self) -> tuple[dict[str, jax.Array], Any]:
        """The trained arrays by their path in the module, and the module without them."""
        import equinox

        arrays, rest = equinox.partition(self.module, equinox.is_inexact_array)
        leaves = jax.tree.leaves_with_path(arrays)
        return {_name(path): leaf for path, leaf in leaves}, rest

    def _joined(self, params: Params, rest: Any) -> Any:
        import equinox

        arrays = equinox.filter(self.module, equinox.is_inexact_array)
        return equinox.combine(jax.tree.map_with_path(lambda path, _: params[_name(path)], arrays), rest)

    def out_spec(self, in_spec: Spec) -> Spec:
        params, _ = self._split()
        return _unbatched(self._traced(lambda x: self._run(params, x, False, None), in_spec))

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        return {name: jnp.array(leaf, jnp.float32) for name, leaf in self._split()[0].items()}, {}

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        key = ctx.rng() if ctx.train and ctx.root_key is not None else None
        return self._run(params, x, ctx.train, key), state

    def _run(self, params: Params, x: Any, train: bool, key: jax.Array | None) -> Any:
        import equinox

        module = self._joined(_cast(params, x), self._split()[1])
        module = equinox.nn.inference_mode(module, value=not train)
        if key is None or "key" not in inspect.signature(type(module).__call__).parameters:
            return jax.vmap(module)(x)
        keys = jax.random.split(key, jax.tree.leaves(x)[0].shape[0])
        return jax.vmap(lambda example, own: module(example, key=own))(x, keys)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
