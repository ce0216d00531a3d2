"""Activations: the function that a layer's neurons apply to their weighted sums.

Each is a class, and under its lower-case name an instance with the default options that also works as a function:
``lm.Sequential(lm.Dense(3), lm.relu)`` and ``lm.relu(x)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina.errors import ShapeError
from lamina.initializers import HeNormal, Initializer, Zeros
from lamina.layers._checks import check_floating, check_number, check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = [
    "Activation",
    "Elu",
    "Gelu",
    "LeakyRelu",
    "Linear",
    "Maxout",
    "PRelu",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Sign",
    "Silu",
    "Softmax",
    "Softplus",
    "Softsign",
    "Step",
    "Tanh",
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "tanh",
]


class Activation(Layer):
    """Base of activations without parameters: the author writes ``__call__(x)``, which keeps shape and dtype."""

    on_masked = "each"

    def __call__(self, x: jax.Array) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} has no __call__ method.")

    def out_spec(self, in_spec: Spec) -> Spec:
        check_floating(type(self).__name__, in_spec.dtype)
        return in_spec

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return self(x), state


@jax.custom_jvp
def _step_through(x: jax.Array) -> jax.Array:
    return (x >= 0).astype(x.dtype)


@_step_through.defjvp
def _step_through_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _step_through(primals[0]), tangents[0]


@jax.custom_jvp
def _sign_through(x: jax.Array) -> jax.Array:
    return jnp.sign(x)


@_sign_through.defjvp
def _sign_through_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (dx,) = primals, tangents
    return jnp.sign(x), jnp.where(jnp.abs(x) <= 1, dx, jnp.zeros_like(dx))


@dataclass(frozen=True, repr=False)
class Step(Activation):
    """y = 1 where x >= 0, else 0: the threshold of McCulloch and Pitts 1943. Its gradient is 0.

    Args:
        straight_through: pretend in the backward pass that y = x, so that what comes before can learn (Bengio,
            Léonard & Courville 2013, arXiv:1308.3432).
    """

    straight_through: bool = False

    def __call__(self, x: jax.Array) -> jax.Array:
        return _step_through(x) if self.straight_through else (x >= 0).astype(x.dtype)


@dataclass(frozen=True, repr=False)
class Sign(Activation):
    """y = 1 where x > 0, -1 where x < 0, 0 at 0. Its gradient is 0.

    Args:
        straight_through: pretend in the backward pass that y = clip(x, -1, 1) (Hubara et al. 2016,
            arXiv:1602.02830).
    """

    straight_through: bool = False

    def __call__(self, x: jax.Array) -> jax.Array:
        return _sign_through(x) if self.straight_through else jnp.sign(x)


@dataclass(frozen=True, repr=False)
class Linear(Activation):
    """y = x."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


@dataclass(frozen=True, repr=False)
class Sigmoid(Activation):
    """y = 1 / (1 + e^-x), between 0 and 1."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(x)


@dataclass(frozen=True, repr=False)
class Tanh(Activation):
    """y = tanh x, between -1 and 1."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(x)


@dataclass(frozen=True, repr=False)
class Relu(Activation):
    """y = max(x, 0); its gradient at 0 is 0.

    Source: Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines", ICML.
    """

    bound: ClassVar[float] = math.inf

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(x)


@dataclass(frozen=True, repr=False)
class Relu6(Activation):
    """y = min(max(x, 0), 6); its gradient at 0 and at 6 is 0.

    Source: Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10"; the bound keeps digits where numbers are
    short (Howard et al. 2017, arXiv:1704.04861).
    """

    bound: ClassVar[float] = 6.0

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu6(x)


@dataclass(frozen=True, repr=False)
class LeakyRelu(Activation):
    """y = x where x >= 0, slope · x elsewhere.

    Source: Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network acoustic models".

    Args:
        slope: for negative x.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        check_number("LeakyRelu", "slope", self.slope)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.leaky_relu(x, self.slope)


@dataclass(frozen=True, repr=False)
class Elu(Activation):
    """y = x where x > 0, alpha (e^x - 1) elsewhere.

    Source: Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289.

    Args:
        alpha: -alpha is the limit for very negative x.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_number("Elu", "alpha", self.alpha)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.elu(x, self.alpha)


@dataclass(frozen=True, repr=False)
class Selu(Activation):
    """y = 1.0507 · elu(x, alpha=1.6733): with LeCunNormal weights, signals keep mean 0 and variance 1.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks", arXiv:1706.02515.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.selu(x)


@dataclass(frozen=True, repr=False)
class Gelu(Activation):
    """y = x Φ(x), Φ the standard normal's distribution function.

    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.

    Args:
        approximate: use x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))), which is faster.
    """

    approximate: bool = False

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.gelu(x, approximate=self.approximate)


@dataclass(frozen=True, repr=False)
class Silu(Activation):
    """y = x / (1 + e^-x), also called swish.

    Source: Elfwing, Uchibe & Doya 2018, arXiv:1702.03118.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.silu(x)


@dataclass(frozen=True, repr=False)
class Softplus(Activation):
    """y = log(1 + e^x), a smooth relu.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing", NIPS.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.softplus(x)


@dataclass(frozen=True, repr=False)
class Softsign(Activation):
    """y = x / (1 + |x|): like tanh, with heavier tails."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.soft_sign(x)


@dataclass(frozen=True, repr=False)
class Softmax(Activation):
    """y_i = e^x_i / Σ_j e^x_j: positive numbers that sum to 1.

    Args:
        axis: over which they sum to 1, counted with the batch axis.

    Raises:
        ShapeError: where there is no such axis, or it is the batch's.
    """

    axis: int = -1

    def out_spec(self, in_spec: Spec) -> Spec:
        rank = len(in_spec.shape) + 1
        if not -rank < self.axis < rank or self.axis == 0:
            raise ShapeError(f"Softmax has axis={self.axis}, but the input has {rank} axes with the batch's.")
        return super().out_spec(in_spec)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.softmax(x, axis=self.axis)


@dataclass(frozen=True, repr=False)
class PRelu(Layer):
    """y = x where x >= 0, a · x elsewhere, with a learned slope a for each channel.

    Source: He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.

    Args:
        slope: initial value of every a.

    Shapes: ``(batch, ..., channels)`` → the same.
    """

    on_masked = "each"

    slope: float = 0.25

    def __post_init__(self) -> None:
        check_number("PRelu", "slope", self.slope)

    def out_spec(self, in_spec: Spec) -> Spec:
        _check_features("PRelu", in_spec)
        return in_spec

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        return {"slope": jnp.full(in_spec.shape[-1:], self.slope, jnp.float32)}, {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        return jnp.where(x >= 0, x, params["slope"].astype(x.dtype) * x), state


@dataclass(frozen=True, repr=False)
class Maxout(Layer):
    """y_i = max over j of (x W_ij + b_ij): each unit is the largest of several affine pieces.

    Source: Goodfellow et al. 2013, arXiv:1302.4389.

    Args:
        units: number of outputs.
        pieces: affine maps to each unit.
        kernel_init, bias_init: initial values of W ``(inputs, units · pieces)`` and b ``(units · pieces,)``.

    Shapes: ``(batch, ..., inputs)`` → ``(batch, ..., units)``.
    """

    on_masked = "each"

    units: int
    pieces: int = 2
    kernel_init: Initializer = HeNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        check_whole("Maxout", "units", self.units)
        check_whole("Maxout", "pieces", self.pieces)

    def out_spec(self, in_spec: Spec) -> Spec:
        _check_features("Maxout", in_spec)
        return spec((*in_spec.shape[:-1], self.units), in_spec.dtype)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        kernel_key, bias_key = jax.random.split(key)
        width = self.units * self.pieces
        kernel = self.kernel_init(kernel_key, (in_spec.shape[-1], width))
        return {"kernel": kernel, "bias": self.bias_init(bias_key, (width,))}, {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        y = x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)
        return jnp.max(y.reshape(*x.shape[:-1], self.units, self.pieces), axis=-1), state


def _check_features(who: str, in_spec: Any) -> None:
    if not in_spec.shape:
        raise ShapeError(f"{who} expects at least one feature axis after the batch axis, got none.")
    check_floating(who, in_spec.dtype)


step = Step()
sign = Sign()
linear = Linear()
sigmoid = Sigmoid()
tanh = Tanh()
relu = Relu()
relu6 = Relu6()
leaky_relu = LeakyRelu()
elu = Elu()
selu = Selu()
gelu = Gelu()
silu = Silu()
softplus = Softplus()
softsign = Softsign()
softmax = Softmax()
