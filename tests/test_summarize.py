from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax

import lamina as lm
from lamina.errors import ShapeError
from lamina.layers import Layer
from lamina.summarize import Summary, summary


def lenet() -> Layer:
    return lm.Sequential(
        lm.Conv(6, 5, padding=2),
        lm.tanh,
        lm.AvgPool(2),
        lm.Conv(16, 5, padding="VALID"),
        lm.tanh,
        lm.AvgPool(2),
        lm.Flatten(),
        lm.Dense(120),
        lm.tanh,
        lm.Dense(84),
        lm.tanh,
        lm.Dense(10),
    )


def by_path(result: Summary) -> dict[str, Any]:
    return {row.path: row for row in result.rows}


def test_lenet_has_the_published_numbers() -> None:
    result = summary(lenet(), (28, 28, 1))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2),
        torch.nn.Conv2d(6, 16, 5),
        torch.nn.Linear(400, 120),
        torch.nn.Linear(120, 84),
        torch.nn.Linear(84, 10),
    )
    assert result.parameters == sum(p.numel() for p in theirs.parameters()) == 61_706
    convolutions = 28 * 28 * 25 * 6 + 10 * 10 * 25 * 6 * 16
    assert result.multiply_adds == convolutions + 400 * 120 + 120 * 84 + 84 * 10
    rows = by_path(result)
    assert rows["3"].output == "(10, 10, 16)"
    assert rows["3"].multiply_adds == 10 * 10 * 25 * 6 * 16
    assert rows["3"].operations == 2 * rows["3"].multiply_adds + 10 * 10 * 16  # the bias
    assert rows["3"].activation_bytes == 4 * 10 * 10 * 16
    assert rows["1"].operations == 28 * 28 * 6
    assert [rows[path].receptive_field for path in "0235"] == ["5×5", "6×6", "14×14", "16×16"]
    assert rows["11"].receptive_field == "all"
    assert sum(row.operations for row in result.rows) == result.operations
    assert result.matmul_share == 2 * result.multiply_adds / result.operations


def block(channels: int, strides: int = 1) -> Layer:
    body = lm.Sequential(
        lm.Conv(channels, 3, strides=strides, use_bias=False),
        lm.BatchNorm(),
        lm.relu,
        lm.Conv(channels, 3, use_bias=False),
        lm.BatchNorm(),
    )
    if strides == 1:
        return lm.Residual(body)
    shortcut = lm.Sequential(lm.Conv(channels, 1, strides=strides, use_bias=False), lm.BatchNorm())
    return lm.Residual(body, shortcut)


def test_resnet18_has_the_published_numbers() -> None:
    layers: list[Any] = [lm.Conv(64, 7, strides=2, use_bias=False), lm.BatchNorm(), lm.relu]
    layers += [lm.MaxPool(3, strides=2, padding="SAME")]
    for channels in (64, 128, 256, 512):
        for first in (True, False):
            layers += [block(channels, 2 if first and channels > 64 else 1), lm.relu]
    result = summary(lm.Sequential(*layers, lm.GlobalAvgPool(), lm.Dense(1000)), (224, 224, 3))
    assert result.parameters == 11_689_512  # torchvision's resnet18
    assert result.multiply_adds == 1_814_073_344  # 1.81 G, as torchvision states
    assert by_path(result)["19"].receptive_field == "435×435"  # Araujo et al. 2019, Distill, table 1
    assert 0.99 < result.matmul_share < 1


def seen(network: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Extent of the input on which the most-seeing number near the middle of the output depends, by its gradient."""
    params, state = network.init(jax.random.key(0), shape)
    params = jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.1, params)
    out = network.out_spec(jax.ShapeDtypeStruct(shape, jnp.float32)).shape
    out_mask = jnp.zeros((1, *out))

    @jax.jit
    def gradient(mask: jax.Array) -> jax.Array:
        return jax.grad(lambda x: jnp.sum(mask * network.apply(params, state, x)[0]))(jnp.ones((1, *shape)))[0]

    best = np.zeros(len(shape) - 1, int)
    for shift in np.ndindex(*(min(4, size) for size in out[:-1])):
        at = tuple(min(size // 2 + s, size - 1) for size, s in zip(out, shift, strict=False))
        where = np.argwhere(np.asarray(gradient(out_mask.at[(0, *at)].set(1.0))).any(axis=-1))
        if len(where):
            best = np.maximum(best, np.ptp(where, axis=0) + 1)
    return tuple(best.tolist())


NETWORKS = {
    "1-D": (lm.Sequential(lm.Conv(2, 3), lm.Conv(2, 5, strides=2), lm.AvgPool(3), lm.Conv(1, 3)), (90, 1)),
    "dilated": (lm.Sequential(lm.Conv(2, 3, dilation=2), lm.AvgPool(2), lm.Conv(2, 3, dilation=(1, 3))), (40, 40, 1)),
    "oblong": (lm.Sequential(lm.Conv(2, (5, 1), strides=(2, 1)), lm.Conv(2, (1, 3)), lm.AvgPool((1, 2))), (24, 16, 1)),
    "transposed": (lm.Sequential(lm.Conv(2, 3, strides=2), lm.ConvTranspose(2, 4, strides=2), lm.Conv(1, 3)), (32, 1)),
    "transposed, dilated": (lm.Sequential(lm.AvgPool(2), lm.ConvTranspose(2, 3, strides=2, dilation=2)), (32, 1)),
    "transposed, out of step": (lm.ConvTranspose(2, 4, strides=3, dilation=2), (16, 1)),
    "residual": (lm.Sequential(lm.AvgPool(2), lm.Residual(lm.Sequential(lm.Conv(1, 3), lm.Conv(1, 5)))), (40, 1)),
    "branches": (lm.Sequential(lm.Conv(2, 3), lm.Parallel(lm.Conv(1, 1), lm.Conv(1, 7), lm.linear)), (40, 1)),
    "adaptive": (lm.Sequential(lm.Conv(2, 3), lm.AdaptiveAvgPool(8), lm.Conv(1, 3)), (32, 1)),
    "time": (lm.Sequential(lm.TimeDistributed(lm.Sequential(lm.Conv(2, 3), lm.AvgPool(2))), lm.Dense(1)), (4, 20, 1)),
    "image of flat": (lm.Sequential(lm.Reshape((12, 12, 1)), lm.Conv(1, 3), lm.Flatten(), lm.relu), None),
}


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name][1] is not None])
def test_receptive_field_equals_the_extent_of_the_gradient(name: str) -> None:
    network, shape = NETWORKS[name]
    fields = summary(network, shape).rows[-1].receptive_field
    extents = seen(network, shape)
    if name == "time":  # the time axis is folded into the batch: Dense follows it with both axes
        assert extents[0] == 1
    assert fields == "×".join(map(str, extents))


def test_flattening_and_reshaping_keep_what_a_number_sees() -> None:
    network, _ = NETWORKS["image of flat"]
    assert [row.receptive_field for row in summary(network, (144,)).rows] == ["", "3×3", "3×3", "3×3"]


def test_a_global_pool_sees_everything_and_a_stranger_is_not_guessed() -> None:
    network = lm.Sequential(lm.Function(lambda x: jnp.flip(x, 1)), lm.Conv(2, 3), lm.GlobalMaxPool(), lm.relu)
    assert [row.receptive_field for row in summary(network, (8, 8, 1)).rows] == ["?", "?", "all", "all"]


def test_multiply_adds_follow_the_formulas() -> None:
    def adds(layer: Layer, shape: tuple[int, ...]) -> int:
        return summary(layer, shape).multiply_adds

    assert adds(lm.Dense(7, use_bias=False), (5, 3)) == 5 * 3 * 7
    assert adds(lm.Conv(8, 3, groups=4), (6, 6, 4)) == 36 * 9 * 8  # depthwise, two filters a channel
    assert adds(lm.Conv(4, 3, strides=2, padding="VALID"), (9, 9, 2)) == 16 * 9 * 2 * 4
    assert adds(lm.ConvTranspose(4, 3, strides=2), (5, 5, 2)) == 25 * 9 * 2 * 4
    assert adds(lm.TimeDistributed(lm.Dense(3)), (10, 4)) == 10 * 4 * 3
    assert adds(lm.relu, (10,)) == 0


def test_jaxs_own_convolutions_count_alike() -> None:
    kernel = jnp.ones((3, 3, 2, 4))

    def plain(x: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def upsampling(x: jax.Array) -> jax.Array:
        return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    for function, layer in (
        (plain, lm.Conv(4, 3, strides=2, padding="VALID", use_bias=False)),
        (upsampling, lm.ConvTranspose(4, 3, strides=2, use_bias=False)),
    ):
        assert summary(lm.Function(function), (9, 9, 2)).multiply_adds == summary(layer, (9, 9, 2)).multiply_adds


@dataclass(frozen=True, repr=False)
class Loops(Layer):
    """Ten turns of a matrix product, and the dearer of two branches."""

    def forward(self, params: Any, state: Any, x: Any, ctx: Any) -> Any:
        matrix = jnp.ones((4, 4))
        y, _ = lax.scan(lambda carry, _: (carry @ matrix, None), x, length=10)
        y = lax.cond(jnp.sum(y) > 0, lambda v: v @ matrix @ matrix, lambda v: v + 1.0, y)
        return jax.jit(lambda v: v @ matrix)(y), state


def test_arithmetic_inside_loops_branches_and_calls_is_counted() -> None:
    result = summary(Loops(), (4,))
    assert result.multiply_adds == 16 * (10 + 2 + 1)
    # Besides: the sum over 4 numbers, its comparison, the choice of a branch.
    assert 2 * result.multiply_adds < result.operations <= 2 * result.multiply_adds + 8


def test_a_shared_layers_parameters_count_once() -> None:
    siamese = lm.Graph(
        inputs=("left", "right"),
        nodes={
            "a": (lm.Sequential(lm.Dense(8), lm.relu), "left"),
            "b": ("a", "right"),
            "difference": (lm.Merge("subtract"), ("a", "b")),
            "same": (lm.Dense(1), "difference"),
        },
        outputs="same",
    )
    result = summary(siamese, {"left": (4,), "right": (4,)})
    rows = by_path(result)
    assert (rows["a.0"].parameters, rows["b.0"].parameters) == (40, 0)
    assert rows["a.0"].multiply_adds == rows["b.0"].multiply_adds == 32
    assert result.parameters == siamese.count_parameters({"left": (4,), "right": (4,)}) == 49


def test_tied_weights_count_once_and_auxiliary_heads_apart() -> None:
    body = lm.Sequential(encode=lm.Dense(2), decode=lm.Dense(6))
    tied = summary(lm.Tied(body, {"decode.kernel": "encode.kernel.T"}), (6,))
    assert {row.path: row.parameters for row in tied.rows} == {"encode": 12 + 2, "decode": 6}
    assert tied.multiply_adds == 24
    helped = summary(lm.Sequential(lm.Dense(4), lm.Auxiliary(lm.Dense(3)), lm.Dense(3)), (5,))
    assert (helped.parameters, helped.unused_parameters) == (24 + 15, 15)
    assert "15 more parameters" in str(helped)


def test_the_table_is_aligned_and_fits_a_terminal() -> None:
    long = lm.Sequential(*[lm.Conv(512, (3, 3), strides=(2, 1), padding=((1, 1), (2, 2)), use_bias=False)] * 3)
    for result in (summary(lenet(), (28, 28, 1)), summary(long, (224, 224, 3))):
        lines = str(result).splitlines()
        table = lines[: lines.index("")]
        assert max(map(len, lines)) <= 120
        assert {len(line) for line in table} == {len(table[1])}
    result = summary(lenet(), (28, 28, 1))
    text = str(result)
    assert "total" in text
    assert "61,706" in text
    assert f"Share of matrix multiplication in the arithmetic: {100 * result.matmul_share:.1f} %" in text
    assert 0.95 < result.matmul_share < 0.99


def test_a_layer_alone_and_nothing_to_compute() -> None:
    assert [row.path for row in summary(lm.Dense(3), (4,)).rows] == ["dense"]
    assert summary(lm.Flatten(), (2, 2)).matmul_share == 0.0


def test_a_network_that_does_not_fit_names_the_layer() -> None:
    with pytest.raises(ShapeError, match=r"layer '1 \(Conv\)'"):
        summary(lm.Sequential(lm.Flatten(), lm.Conv(3, 3)), (8, 8, 1))
