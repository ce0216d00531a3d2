"""Our convolution kernels under JAX's own convolution, for programs that are written without Lamina's layers.

`install` replaces the rule by which `lax.conv_general_dilated_p` is lowered for a CPU. By then JAX's transformations
have all been applied, so that a convolution and its gradients arrive as one and the same primitive; what each of them
is follows from its dimension numbers, strides, dilations and padding (`translate`).
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import mlir
from jax.sharding import AxisType

from lamina.kernels import conv_primitive
from lamina.kernels.conv_primitive import DATA_GRADIENT, FORWARD, WEIGHT_GRADIENT, out_size

__all__ = ["Installation", "Translation", "install", "installed", "translate", "uninstall"]

Ints: TypeAlias = tuple[int, ...]
Direction: TypeAlias = Literal["forward", "data", "weights"]

# The versions of JAX whose internals this was tested on, both ends included: those of pyproject.toml.
_TESTED = ((0, 10, 0), (0, 10, 2))

_lock = threading.Lock()
_count = 0
_earlier: Any = None  # JAX's entry for the rule that is replaced, put back as it was


class Installation:
    """What `install` returns: leaving it as a context undoes that installation."""

    def __init__(self, active: bool) -> None:
        self._active = active

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._active:
            uninstall()


def install() -> Installation:
    """Let JAX's own convolutions on a CPU run on Lamina's kernels, gradients included.

    For programs in Flax, Equinox, Keras on JAX or bare JAX; Lamina's layers need none of it. A convolution that there
    is no kernel for is computed by XLA, as before: `lamina.kernels.explain` tells which. So are all convolutions of a
    program that XLA partitions over several devices, outside of `jax.shard_map`. Every compiled function is dropped
    (`jax.clear_caches`), so that it is compiled anew.

    Installations are counted: each is undone by one `uninstall`, or by the end of a ``with``:

        with lamina.kernels.install():
            state = train_step(state, batch)

    While it lasts, `jax.export` for a CPU refuses programs with convolutions, because it does not know our calls.

    Warns:
        UserWarning: where this version of JAX has not been tested; then nothing is changed.
    """
    global _count, _earlier
    with _lock:
        if not _count:
            problem = _untested()
            if problem is not None:
                warnings.warn(problem, UserWarning, stacklevel=2)
                return Installation(active=False)
            _earlier = _rules()[lax.conv_general_dilated_p]
            mlir.register_lowering(lax.conv_general_dilated_p, _lower, platform="cpu")
            jax.clear_caches()
        _count += 1
    return Installation(active=True)


def uninstall() -> None:
    """Undo one `install`: after the last, JAX lowers its convolutions as it did before. Without one, do nothing."""
    global _count
    with _lock:
        if _count == 1:
            _rules()[lax.conv_general_dilated_p] = _earlier
            jax.clear_caches()
        _count = max(_count - 1, 0)


def installed() -> bool:
    """Whether JAX's own convolutions are lowered by us."""
    return _count > 0


def _untested() -> str | None:
    """Why JAX's rule cannot be replaced, or None."""
    oldest, newest = _TESTED
    if not oldest <= jax.__version_info__[:3] <= newest:
        return (
            f"lamina.kernels.install() has been tested with JAX {'.'.join(map(str, oldest))} to "
            f"{'.'.join(map(str, newest))}, this is {jax.__version__}: convolutions stay with XLA."
        )
    try:
        entry = _rules()[lax.conv_general_dilated_p]
        found = callable(entry.rule)
    except (ImportError, AttributeError, KeyError, TypeError):
        found = False
    if not found:
        return "lamina.kernels.install() does not find JAX's rule for convolutions on a CPU: they stay with XLA."
    return None


def _rules() -> Any:
    """JAX's lowering rules for a CPU by primitive."""
    from jax._src.interpreters import mlir as internal

    return internal._platform_specific_lowerings["cpu"]


def _lower(ctx: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    with _precise(params["precision"]):
        found = translate(*ctx.avals_in, *ctx.avals_out, **params)
    # XLA cannot partition our calls over devices: it would gather their operands. Within a shard_map it need not.
    partitioned = getattr(ctx.module_context.axis_context, "num_devices", 1) > 1
    if isinstance(found, str) or partitioned:
        return _earlier.rule(ctx, lhs, rhs, **params)
    with _precise(params["precision"]):
        return mlir.lower_fun(found.run, multiple_results=False)(ctx, lhs, rhs)


def _precise(precision: Any) -> AbstractContextManager[Any]:
    """Ours are told of a precision as JAX itself would be: by its setting."""
    highest = precision is not None and lax.Precision.HIGHEST in precision
    return jax.default_matmul_precision("highest") if highest else nullcontext()


@dataclass(frozen=True)
class Translation:
    """A convolution of JAX's as one of ours.

    Attributes:
        direction: which of ours: the convolution, or its gradient with respect to "data" or "weights".
        kernel: the name of the compiled kernel.
        run: the same function of the same two operands, through our primitive.
    """

    direction: Direction
    kernel: str
    run: Callable[[jax.Array, jax.Array], jax.Array]


class _UnknownError(Exception):
    """Why a convolution is none of ours."""


def translate(lhs: Any, rhs: Any, out: Any, **params: Any) -> Translation | str:
    """Recognise a `lax.conv_general_dilated_p`.

    Args:
        lhs, rhs, out: arrays or specs: its operands and its result.
        **params: the primitive's parameters.

    Returns:
        What to run in its stead, or a sentence that says why XLA has to.
    """
    try:
        return _form(lhs, rhs, out, params)
    except _UnknownError as error:
        return str(error)


def _form(lhs: Any, rhs: Any, out: Any, params: dict[str, Any]) -> Translation:
    if not lhs.dtype == rhs.dtype == out.dtype:
        raise _UnknownError(f"operands are {lhs.dtype} and {rhs.dtype}, the result is {out.dtype}")
    if not all(isinstance(size, int) for size in (*lhs.shape, *rhs.shape, *out.shape)):
        raise _UnknownError("sizes are symbolic")
    sharding = getattr(out, "sharding", None)
    if sharding is not None and AxisType.Explicit in sharding.mesh.axis_types:
        raise _UnknownError("it is sharded explicitly")
    conv = _Convolution(lhs, rhs, out, params)
    if not conv.strides:
        raise _UnknownError("there are no axes of space")
    if conv.sums_over_batch:
        return _weights(conv) if not conv.spread else _weights_of_transposed(conv)
    return _forward(conv) if not conv.spread and min(conv.low) >= 0 else _data(conv)


class _Convolution:
    """The primitive's operands and parameters by name.

    Attributes:
        lhs, rhs, out: specs of the operands and of the result.
        l, r, o: their axes: (batch, channels, *space), of the right operand (out, in, *window).
        strides, taps, gaps: of the window, of the right operand (rhs_dilation), of the left one (lhs_dilation).
        low: padding before each axis of space. That after it follows from the sizes.
    """

    def __init__(self, lhs: Any, rhs: Any, out: Any, params: dict[str, Any]) -> None:
        self.lhs, self.rhs, self.out = lhs, rhs, out
        self.l, self.r, self.o = (tuple(spec) for spec in params["dimension_numbers"])
        self.strides, self.taps, self.gaps = (
            tuple(int(value) for value in params[name]) for name in ("window_strides", "rhs_dilation", "lhs_dilation")
        )
        self.low: Ints = tuple(int(low) for low, _ in params["padding"])
        self.feature_groups, self.batch_groups = params["feature_group_count"], params["batch_group_count"]

    @property
    def spread(self) -> bool:
        """Whether zeros are put between the left operand's elements."""
        return max(self.gaps) > 1

    @property
    def sums_over_batch(self) -> bool:
        """Whether this is the gradient of a kernel.

        The axis that both operands are summed over is then the examples', the first in every layout in use.
        """
        return bool(self.batch_groups > 1 or self.l[1] == self.r[1] == 0)


def _forward(conv: _Convolution) -> Translation:
    """The convolution itself, in any layout. Gradients of data where the stride was one are of this form too."""
    to_x, to_w, to_y = _image(conv.l), _kernel(conv.r), _image(conv.o)
    x, w, y = _spec(conv.lhs, to_x), _spec(conv.rhs, to_w), _spec(conv.out, to_y)
    options = _options(x, w, y, conv.strides, conv.low, conv.taps, conv.feature_groups)

    def run(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
        result = FORWARD.bind(lhs.transpose(to_x), rhs.transpose(to_w), **options)
        return result.transpose(_inverse(to_y))  # type: ignore[no-any-return]

    return _translation("forward", x, w, y, options, run)


def _data(conv: _Convolution) -> Translation:
    """Gradient of data, or a transposed convolution: (dy, w) -> dx, the kernel turned round and its channels swapped.

    The left operand's gaps are the strides of the convolution that it is the gradient of.
    """
    _expect_ones(conv.strides, "the left operand is spread or padded by less than nothing, and the window has strides")
    to_dy, to_turned, to_dx = _image(conv.l), _kernel(conv.r), _image(conv.o)
    dy, turned, dx = _spec(conv.lhs, to_dy), _spec(conv.rhs, to_turned), _spec(conv.out, to_dx)
    groups = conv.feature_groups
    *window, out, channels = turned.shape
    w = jax.ShapeDtypeStruct((*window, channels // groups, out * groups), turned.dtype)
    low = tuple((k - 1) * d - lo for k, d, lo in zip(window, conv.taps, conv.low, strict=True))
    options = _options(dx, w, dy, conv.gaps, low, conv.taps, groups)

    def run(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
        # Turned in its own layout, where JAX has turned it before: XLA drops both.
        kernel = lax.rev(rhs, conv.r[2:]).transpose(to_turned).reshape(*window, out, groups, channels // groups)
        kernel = jnp.swapaxes(kernel, -1, -3).reshape(w.shape)
        result = DATA_GRADIENT.bind(lhs.transpose(to_dy), kernel, size=dx.shape[1:-1], **options)
        return result.transpose(_inverse(to_dx))  # type: ignore[no-any-return]

    return _translation("data", dx, w, dy, options, run)


def _weights(conv: _Convolution) -> Translation:
    """Gradient of a kernel: (x, dy) -> dw. Examples play the channels, and strides and dilation change places."""
    to_x, to_dy, to_dw = _image(_swapped(conv.l)), _image(_swapped(conv.r)), _kernel(_swapped(conv.o))
    examples, *space, channels = _spec(conv.lhs, to_x).shape
    dy, dw = _spec(conv.rhs, to_dy), _spec(conv.out, to_dw)
    models = conv.feature_groups  # those that `vmap` has laid one after the other along the examples
    x = jax.ShapeDtypeStruct((examples // models, *space, models * channels), dy.dtype)
    options = _options(x, dw, dy, conv.taps, conv.low, conv.strides, models * conv.batch_groups)

    def run(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
        data = lhs.transpose(to_x).reshape(models, examples // models, *space, channels)
        data = jnp.moveaxis(data, 0, -2).reshape(x.shape)
        result = WEIGHT_GRADIENT.bind(data, rhs.transpose(to_dy), window=dw.shape[:-2], **options)
        return result.transpose(_inverse(to_dw))  # type: ignore[no-any-return]

    return _translation("weights", x, dw, dy, options, run)


def _weights_of_transposed(conv: _Convolution) -> Translation:
    """Gradient of a transposed convolution's kernel: what it read is dy, its result's gradient is x, dw is turned."""
    _expect_ones(conv.taps, "both operands are spread")
    _expect_ones((conv.feature_groups, conv.batch_groups), "a transposed convolution in groups")
    to_dy, to_x, to_dw = _image(_swapped(conv.l)), _image(_swapped(conv.r)), _kernel(conv.o)
    dy, x, dw = _spec(conv.lhs, to_dy), _spec(conv.rhs, to_x), _spec(conv.out, to_dw)
    window = dw.shape[:-2]
    low = tuple((k - 1) * d - lo for k, d, lo in zip(window, conv.strides, conv.low, strict=True))
    options = _options(x, dw, dy, conv.gaps, low, conv.strides, 1)

    def run(lhs: jax.Array, rhs: jax.Array) -> jax.Array:
        result = WEIGHT_GRADIENT.bind(rhs.transpose(to_x), lhs.transpose(to_dy), window=window, **options)
        return lax.rev(result.transpose(_inverse(to_dw)), conv.o[2:])

    return _translation("weights", x, dw, dy, options, run)


def _translation(
    direction: Direction,
    x: Any,
    w: Any,
    y: Any,
    options: dict[str, Any],
    run: Callable[[jax.Array, jax.Array], jax.Array],
) -> Translation:
    found, _ = conv_primitive.plan(direction, x, w, y, **options)
    if found.scratch < 0:
        raise _UnknownError(found.kernel)
    return Translation(direction, found.kernel, run)


def _options(x: Any, w: Any, y: Any, strides: Ints, low: Ints, dilation: Ints, groups: int) -> dict[str, Any]:
    """Our primitives' parameters for y = conv(x, w) with these sizes: with the least padding that gives them."""
    space, window, out = x.shape[1:-1], w.shape[:-2], y.shape[1:-1]
    pads = []
    for n, k, o, s, lo, d in zip(space, window, out, strides, low, dilation, strict=True):
        pads.append((lo, max((o - 1) * s + (k - 1) * d + 1 - n - lo, 0)))
    padding = tuple(pads)
    if math.prod(out) and (min(low) < 0 or out_size(space, window, strides, padding, dilation) != out):
        raise _UnknownError("it is padded by less than nothing")
    return {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


def _expect_ones(values: Ints, otherwise: str) -> None:
    if max(values) > 1:
        raise _UnknownError(otherwise)


def _image(spec: Ints) -> Ints:
    """The transposition of (batch, channels, *space), wherever they are, to (batch, *space, channels)."""
    return (spec[0], *spec[2:], spec[1])


def _kernel(spec: Ints) -> Ints:
    """The transposition of (out, in, *window), wherever they are, to (*window, in, out)."""
    return (*spec[2:], spec[1], spec[0])


def _swapped(spec: Ints) -> Ints:
    return (spec[1], spec[0], *spec[2:])


def _inverse(order: Ints) -> Ints:
    return tuple(order.index(axis) for axis in range(len(order)))


def _spec(array: Any, order: Sequence[int]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(tuple(array.shape[axis] for axis in order), array.dtype)
