"""Series whose level changes: a window is normalised by itself before a network, and its forecast set back after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lamina.errors import ConfigError, ShapeError
from lamina.kernels.precision import widened
from lamina.layers.base import Context, Layer, Params, Spec, State, apply_part, as_layer, part_spec, setup_part

__all__ = ["Reversible"]

_WAYS = ("last", "mean", "standard")
_EPSILON = 1e-4  # beside the variance of a window, so that a flat one is not blown up


@dataclass(frozen=True, repr=False)
class Reversible(Layer):
    """y = m + s · body((x - m) / s), with m and s each window's own: the body forecasts changes, whatever the level.

    m and s are taken over time from the first channel, the one that is forecast, and normalise that channel alone.

    Source: Zeng et al. 2023, "Are transformers effective for time series forecasting?", AAAI, arXiv:2205.13504
    ("last": their NLinear); Kim et al. 2022, "Reversible instance normalization", ICLR ("standard"). Departure: no
    learned scale and shift.

    Args:
        body: a layer from ``(batch, steps, channels)`` to ``(batch, horizon)``.
        by: "last" (m is the last value, s = 1), "mean" (m is the mean, s = 1) or "standard" (mean and standard
            deviation).

    Raises:
        ShapeError: where the input is no ``(steps, channels)``, or the body's output no vector.
    """

    body: Layer
    by: Literal["last", "mean", "standard"] = "last"

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", as_layer(self.body))
        if self.by not in _WAYS:
            raise ConfigError(f"Reversible expects one of {', '.join(_WAYS)} as by. Received: by={self.by!r}.")

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield "body", self.body

    def out_spec(self, in_spec: Spec) -> Spec:
        if len(in_spec.shape) != 2:
            raise ShapeError(f"Reversible expects (batch, steps, channels), got {('batch', *in_spec.shape)}.")
        out = part_spec("body", self.body, in_spec)
        if len(out.shape) != 1:
            raise ShapeError(f"Reversible's body is to give a vector of values, it gives {tuple(out.shape)}.")
        return out

    def setup(self, key: jax.Array, in_spec: Spec) -> tuple[Params, State]:
        params: Params = {}
        state: State = {}
        setup_part(key, "body", self.body, in_spec, params, state)
        return params, state

    def forward(self, params: Params, state: State, x: Any, ctx: Context) -> tuple[Any, State]:
        own = widened(x[:, :, :1])
        level = own[:, -1:] if self.by == "last" else own.mean(axis=1, keepdims=True)
        spread = jnp.ones_like(level)
        if self.by == "standard":
            spread = jnp.sqrt(own.var(axis=1, keepdims=True) + _EPSILON)
        normal = ((own - level) / spread).astype(x.dtype)
        new_state: State = {}
        inner = jnp.concatenate([normal, x[:, :, 1:]], axis=2)
        y = apply_part("body", self.body, params, state, new_state, inner, ctx)
        back = widened(y) * spread[:, 0] + level[:, 0]
        return back.astype(x.dtype), new_state
