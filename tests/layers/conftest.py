"""Parity of a layer with PyTorch, forward and gradients, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from lamina.layers import Layer


@pytest.fixture
def agree(x64: None) -> Callable[..., None]:
    """``agree(layer, reference, shape)``: y and the gradients by x and by every parameter equal those of PyTorch.

    ``reference(x, params)`` gets channels-last tensors in Lamina's layouts and does its own permuting.
    """

    def check(
        layer: Layer,
        reference: Callable[[Any, Any], Any],
        shape: tuple[int, ...],
        *,
        train: bool = False,
        x: np.ndarray | None = None,
        tolerance: float = 1e-9,
    ) -> None:
        random = np.random.default_rng(0)
        make = jax.jit(lambda key: layer.init(key, jax.ShapeDtypeStruct(shape, jnp.float64)))
        params, state = make(jax.random.key(0))
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) + 0.3 * random.normal(size=leaf.shape), params)
        if x is None:
            x = random.normal(size=(3, *shape))

        def run(params: Any, x: Any) -> Any:
            return layer.apply(params, state, x, train=train)[0]

        @jax.jit
        def both_ways(params: Any, x: Any, cotangent: Any) -> Any:
            y, pull = jax.vjp(run, params, x)
            return y, *pull(cotangent)

        cotangent = random.normal(size=jax.eval_shape(run, params, x).shape)
        y, by_params, by_x = both_ways(params, x, cotangent)

        their_params = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), params)
        their_x = torch.tensor(x, requires_grad=True)
        theirs = reference(their_x, their_params)
        assert y.shape == tuple(theirs.shape)
        np.testing.assert_allclose(y, theirs.detach(), rtol=tolerance, atol=tolerance)
        theirs.backward(torch.tensor(cotangent))
        np.testing.assert_allclose(by_x, their_x.grad, rtol=tolerance, atol=tolerance)
        for ours, their in zip(jax.tree.leaves(by_params), jax.tree.leaves(their_params), strict=True):
            np.testing.assert_allclose(ours, their.grad, rtol=tolerance, atol=tolerance)

    return check
