"""Dense: the layer of neurons."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from lamina.errors import ShapeError
from lamina.initializers import HeNormal, Initializer, Zeros
from lamina.kernels.matmul import matmul
from lamina.kernels.precision import add_bias
from lamina.layers._checks import check_floating, check_whole
from lamina.layers.base import Context, Layer, Params, Spec, State, spec

__all__ = ["Dense"]


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Affine map over the last axis: y = x W + b, the neurons of the primers with f the next layer.

    Source: Rosenblatt 1958, "The perceptron", Psychological Review 65:386-408.

    Args:
        units: number of outputs.
        use_bias: whether b is added.
        kernel_init, bias_init: initial values of W ``(inputs, units)`` and b ``(units,)``.

    Shapes: ``(batch, ..., inputs)`` → ``(batch, ..., units)``.

    Raises:
        ShapeError: for an input without a feature axis, or not of floats.
    """

    on_masked = "each"

    units: int
    use_bias: bool = True
    kernel_init: Initializer = HeNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        check_whole("Dense", "units", self.units)

    def out_spec(self, in_spec: Spec) -> Spec:
        if not in_spec.shape:
            raise ShapeError("Dense expects at least one feature axis after the batch axis, got none.")
        check_floating("Dense", in_spec.dtype)
        return spec((*in_spec.shape[:-1], self.units), in_spec.dtype)

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        kernel_key, bias_key = jax.random.split(key)
        params = {"kernel": self.kernel_init(kernel_key, (in_spec.shape[-1], self.units))}
        if self.use_bias:
            params["bias"] = self.bias_init(bias_key, (self.units,))
        return params, {}

    def forward(self, params: Params, state: State, x: jax.Array, ctx: Context) -> tuple[jax.Array, State]:
        check_floating("Dense", x.dtype)
        kernel = params["kernel"].astype(x.dtype)
        if x.shape[-1:] != kernel.shape[:1]:
            raise ShapeError(
                f"Dense expects {kernel.shape[0]} inputs on the last axis, got shape {tuple(x.shape)}.",
                "Put Flatten() before it, or initialise the network with the shape you feed it.",
            )
        y = matmul(x, kernel)
        if self.use_bias:
            y = add_bias(y, params["bias"])
        return y, state
