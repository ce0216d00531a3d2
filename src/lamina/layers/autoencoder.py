"""Auto-encoders: a network that gives its input back through a code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.kernels.precision import widened
from lamina.layers._checks import check_floating, check_number
from lamina.layers.activations import Sigmoid
from lamina.layers.base import Context, Layer, Params, Spec, State, apply_part, as_layer, part_spec, setup_part, spec
from lamina.layers.conv import Conv, ConvTranspose
from lamina.layers.dense import Dense
from lamina.layers.noise import GaussianNoise, MaskingNoise
from lamina.layers.sequential import Sequential
from lamina.layers.sparsity import ActivityKL, ActivityL1
from lamina.layers.tied import Ties, completed, released

__all__ = ["Autoencoder", "GaussianCode", "autoencoder_in"]


@dataclass(frozen=True, repr=False)
class Autoencoder(Layer):
    """y = decoder(encoder(x)): learns to give its input back through a code, which is often far smaller.

    Train it with `lamina.load(..., task="autoencode")`, whose target is the input itself. The code is what the
    encoder gives; `lamina.Model` has ``encode``, ``decode`` and ``reconstruct``.

    Source: Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science
    313:504-507.

    Args:
        encoder: from the input to the code; of a variational auto-encoder to the mean and the logarithm of the
            variance of each unit of the code, means first: twice as many channels as the code has.
        decoder: from the code to the input's shape.
        tied: the kernels of the decoder's Dense and ConvTranspose layers are those of the encoder's Dense and Conv
            layers in mirrored order, transposed, and trained as one; biases are each one's own. Both are chains then.
        noise: `MaskingNoise` or `GaussianNoise` on the input in training: a denoising auto-encoder (Vincent et al.
            2010, JMLR 11:3371-3408), which learns to give back the input without it.
        sparsity: `ActivityL1` or `ActivityKL` on the code; the latter asks for an encoder that ends in a sigmoid.
        variational: the code is drawn at random in training and is its mean in evaluation; see `GaussianCode`.
        beta: weight of the divergence of a variational auto-encoder's code, at least 0.

    Shapes: ``(batch, ...)`` → the same. In training a key is needed with noise and where it is variational.

    Raises:
        ConfigError: for parts that do not go together.
        ShapeError: where the decoder does not take the code.
    """

    encoder: Layer
    decoder: Layer
    tied: bool = False
    noise: Layer | None = None
    sparsity: Layer | None = None
    variational: bool = False
    beta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder", as_layer(self.encoder))
        object.__setattr__(self, "decoder", as_layer(self.decoder))
        check_number("Autoencoder", "beta", self.beta, low=0.0)
        if not isinstance(self.noise, MaskingNoise | GaussianNoise | None):
            raise ConfigError(
                f"An auto-encoder's noise is MaskingNoise(rate) or GaussianNoise(std). Received: noise={self.noise!r}."
            )
        if not isinstance(self.sparsity, ActivityL1 | ActivityKL | None):
            raise ConfigError(
                "An auto-encoder's sparsity is ActivityL1(strength) or ActivityKL(target, strength). "
                f"Received: sparsity={self.sparsity!r}."
            )
        if self.sparsity is not None and self.variational:
            raise ConfigError("A variational auto-encoder's code follows a normal distribution, and is not sparse.")
        if isinstance(self.sparsity, ActivityKL) and not isinstance(_last(self.encoder), Sigmoid):
            raise ConfigError("ActivityKL is for a code between 0 and 1.", "End the encoder in lm.sigmoid.")
        _ = self.ties  # what cannot be tied is refused now

    def parts(self) -> Iterator[tuple[str, Layer]]:
        if self.noise is not None:
            yield "noise", self.noise
        yield "encoder", self.encoder
        yield from self._code()
        yield "decoder", self.decoder

    def _code(self) -> Iterator[tuple[str, Layer]]:
        """What is between encoder and decoder."""
        if self.variational:
            yield "code", GaussianCode(self.beta)
        if self.sparsity is not None:
            yield "sparsity", self.sparsity

    @property
    def ties(self) -> Ties:
        """Which of the decoder's parameters are which of the encoder's.

        Raises:
            ConfigError: where they do not mirror each other.
        """
        if not self.tied:
            return ()
        if self.variational:
            raise ConfigError("A variational auto-encoder gives two numbers for each of its code: it cannot be tied.")
        first = list(_weighted(self.encoder, "encoder"))
        second = list(_weighted(self.decoder, "decoder"))
        mirrored = {Dense: Dense, Conv: ConvTranspose}
        fits = len(first) == len(second) and all(
            mirrored.get(type(one)) is type(other) and getattr(one, "groups", 1) == 1
            for (_, one), (_, other) in zip(first, reversed(second), strict=True)
        )
        if not fits:
            shown = [", ".join(type(layer).__name__ for _, layer in layers) or "none" for layers in (first, second)]
            raise ConfigError(
                f"A tied decoder mirrors its encoder's layers with weights: {shown[0]}. Received: {shown[1]}.",
                "Write Dense for Dense and ConvTranspose for Conv (without groups), from the last to the first.",
            )
        pairs = zip(reversed(second), first, strict=True)
        return tuple((f"{target}.kernel", f"{source}.kernel.T") for (target, _), (source, _) in pairs)

    def out_spec(self, in_spec: Spec) -> Spec:
        for name, part in self.parts():
            in_spec = part_spec(name, part, in_spec)
        return in_spec

    def code_spec(self, in_spec: Spec) -> Spec:
        """The code of one input."""
        return self.body().out_spec(in_spec)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        for name, part in self.parts():
            setup_part(key, name, part, in_spec, params, state)
            in_spec = part_spec(name, part, in_spec)
        return released(params, self.ties), state

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        whole = completed(params, self.ties)
        new_state: State = {}
        scale = math.prod(x.shape[1:])
        for name, part in self.parts():
            if isinstance(part, GaussianCode):
                part = GaussianCode(self.beta / scale)
            x = apply_part(name, part, whole, state, new_state, x, ctx)
        return x, new_state

    def body(self) -> Sequential:
        """The encoder alone, as a chain that gives the code: what is left when the decoder is thrown away.

        Its parts are named so that the auto-encoder's own params and state are theirs.
        """
        code = {"code": GaussianCode(0.0, sampled=False)} if self.variational else {}
        return Sequential(encoder=self.encoder, **code)

    def halves(self, params: Params, state: State) -> tuple[tuple[Layer, Params, State], tuple[Layer, Params, State]]:
        """The way from inputs to codes and from codes to outputs in evaluation, each a network with its weights."""
        whole = completed(params, self.ties)

        def part(network: Sequential) -> tuple[Layer, Params, State]:
            names = [name for name, _ in network.layers]
            own, kept = ({name: tree[name] for name in names if name in tree} for tree in (whole, state))
            return network, own, kept

        return part(self.body()), part(Sequential(decoder=self.decoder))

    def for_evaluation(self, params: Params, state: State) -> tuple[Layer, Params, State]:
        """A chain that does the same in evaluation, with its weights."""
        return Sequential(**dict(self.body().layers), decoder=self.decoder), completed(params, self.ties), state


@dataclass(frozen=True, repr=False)
class GaussianCode(Layer):
    """y = μ + σ · n with n ~ N(0, 1) in training, y = μ in evaluation; the input is μ and ln σ², one after the other.

    In training, beta · KL(N(μ, σ²) ‖ N(0, 1)) = beta · ½ Σ (μ² + σ² - 1 - ln σ²) is added to the loss, a mean over the
    batch. In an `Autoencoder` beta is divided by the number of the input's numbers, since its losses are means over
    them: with binary cross-entropy and beta = 1 the loss is then the negative evidence lower bound over that number.

    Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114; Higgins et al. 2017, "beta-VAE",
    ICLR (beta).

    Args:
        beta: weight of the divergence, at least 0.
        sampled: False: y = μ in training too, and nothing is added to the loss.

    Shapes: ``(batch, ..., 2 n)`` → ``(batch, ..., n)``. In training a key is needed.

    Raises:
        ShapeError: for an odd number of channels.
    """

    beta: float = 1.0
    sampled: bool = True

    def __post_init__(self) -> None:
        check_number("GaussianCode", "beta", self.beta, low=0.0)

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating("GaussianCode", in_spec.dtype)
        if not in_spec.shape or in_spec.shape[-1] % 2:
            raise ShapeError(
                f"GaussianCode takes a mean and a variance for each unit, an even number; got {in_spec.shape}.",
                "End the encoder in twice as many units as the code is to have.",
            )
        return spec((*in_spec.shape[:-1], in_spec.shape[-1] // 2), in_spec.dtype)

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        mean, log_variance = jnp.split(x, 2, axis=-1)
        if not (ctx.train and self.sampled):
            return mean, state
        wide, log_wide = widened(mean), widened(log_variance)
        divergence = 0.5 * jnp.sum(jnp.square(wide) + jnp.exp(log_wide) - 1 - log_wide) / x.shape[0]
        ctx.emit("loss", self.beta * divergence)
        return mean + jnp.exp(0.5 * log_variance) * jax.random.normal(ctx.rng(), mean.shape, mean.dtype), state


def autoencoder_in(network: Layer, params: Params, state: State) -> tuple[Autoencoder, Params, State] | None:
    """The auto-encoder that a network is, or that is the only layer of a chain, with its weights; None for others."""
    while isinstance(network, Sequential) and len(network.layers) == 1:
        name, network = network.layers[0]
        params, state = params.get(name, {}), state.get(name, {})
    return (network, params, state) if isinstance(network, Autoencoder) else None


def _last(layer: Layer) -> Layer:
    while isinstance(layer, Sequential) and layer.layers:
        layer = layer.layers[-1][1]
    return layer


def _weighted(layer: Layer, path: str) -> Iterator[tuple[str, Layer]]:
    """The layers of a chain with a kernel, and with any other weights that cannot be tied, by their paths."""
    if isinstance(layer, Sequential):
        for name, part in layer.layers:
            yield from _weighted(part, f"{path}.{name}")
    elif isinstance(layer, Dense | Conv | ConvTranspose) or next(layer.parts(), None) is not None:
        yield path, layer
