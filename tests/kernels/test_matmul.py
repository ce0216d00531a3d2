"""Matrix products against float64, and what they are lowered to."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina.errors import ShapeError
from lamina.kernels import native
from lamina.kernels.matmul import matmul


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(64, 30), (7, 13), (2, 3, 5), (1, 4), (9,)])
def test_value_and_gradients_equal_float64(shape, dtype):
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.standard_normal(s), dtype) for s in (shape, (shape[-1], 17)))
    y, pull = jax.vjp(jax.jit(matmul), x, w)
    ct = jnp.asarray(rng.standard_normal(y.shape), dtype)
    x64, w64, ct64 = (np.asarray(a.astype(jnp.float32), np.float64) for a in (x, w, ct))
    wanted = (x64 @ w64, ct64 @ w64.T, x64.reshape(-1, x64.shape[-1]).T @ ct64.reshape(-1, 17))
    for got, want in zip((y, *pull(ct)), wanted, strict=True):
        assert got.dtype == dtype
        error = np.linalg.norm(np.asarray(got, np.float64) - want) / np.linalg.norm(want)
        assert error < (1e-6 if dtype == jnp.float32 else 5e-3)


def test_half_precision_on_a_cpu_is_ours_and_elsewhere_a_product():
    program = jax.jit(jax.grad(lambda w, x: jnp.sum(matmul(x, w).astype(jnp.float32)) ** 2))
    shapes = [jax.ShapeDtypeStruct(s, jnp.bfloat16) for s in ((30, 20), (64, 30))]
    # oneDNN has no convolution in bfloat16 for a CPU without AVX-512.
    facts = Path("/proc/cpuinfo")
    if native.native().library is not None and facts.exists() and "avx512f" in facts.read_text():
        assert "lamina_conv" in program.lower(*shapes).as_text()
    for platform in ("cuda", "tpu"):
        text = jax.export.export(program, platforms=[platform])(*shapes).mlir_module()
        assert "dot_general" in text
        assert "convolution" not in text


def test_misfits_are_named():
    with pytest.raises(ShapeError, match=r"expects x \(..., inputs\)"):
        matmul(jnp.ones((2, 3)), jnp.ones((4, 5)))
    with pytest.raises(ShapeError, match="dtype"):
        matmul(jnp.ones((2, 3)), jnp.ones((3, 5), jnp.bfloat16))
