"""Acid tests of the layer protocol: networks that are not chains.

A U-Net, an Inception block with an auxiliary head, a Siamese network and a tied auto-encoder are each initialised,
applied, compiled, differentiated, and written as JSON and back.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina.layers as lm
from lamina.config import from_json, to_json


@functools.partial(jax.jit, static_argnums=0, static_argnames="train")
def run(net: lm.Layer, params: Any, state: Any, x: Any, train: bool = False) -> Any:
    return net.apply(params, state, x, train=train, key=jax.random.key(1))


def made(net: lm.Layer, shape: Any) -> Any:
    return jax.jit(lambda key: net.init(key, shape))(jax.random.key(0))


def passes(net: lm.Layer, shape: Any, x: Any) -> tuple[Any, Any, Any]:
    """Init, apply, gradient in training, JSON. Returns params, state and the gradient of the output's mean square."""
    params, state = made(net, shape)
    y, _ = run(net, params, state, x)
    assert jax.tree.map(lambda leaf: leaf.shape[1:], y) == jax.tree.map(
        lambda leaf: leaf.shape, net.out_spec(lm.base.as_spec(shape))
    )

    def loss(params: Any) -> Any:
        y, new_state = run(net, params, state, x, train=True)
        return sum(jnp.mean(jnp.square(leaf)) for leaf in jax.tree.leaves(y)), new_state

    gradient, new_state = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))

    again = from_json(json.loads(json.dumps(to_json(net))), lm.Layer)
    assert again == net
    assert hash(again) == hash(net)
    reread, _ = run(again, params, state, x)
    jax.tree.map(np.testing.assert_array_equal, y, reread)
    return params, state, gradient


def double(filters: int) -> lm.Layer:
    return lm.Sequential(conv=lm.Conv(filters, 3, use_bias=False), norm=lm.BatchNorm(), act=lm.relu)


def test_u_net() -> None:
    net = lm.Graph(
        inputs="image",
        nodes={
            "down1": (double(4), "image"),
            "half": (lm.MaxPool(2), "down1"),
            "down2": (double(8), "half"),
            "quarter": (lm.MaxPool(2), "down2"),
            "bottom": (double(16), "quarter"),
            "up2": (lm.ConvTranspose(8, 2, strides=2), "bottom"),
            "join2": (lm.Merge("concat"), ("up2", "down2")),
            "merge2": (double(8), "join2"),
            "up1": (lm.ConvTranspose(4, 2, strides=2), "merge2"),
            "join1": (lm.Merge("concat"), ("up1", "down1")),
            "merge1": (double(4), "join1"),
            "mask": (lm.Conv(1, 1), "merge1"),
        },
        outputs="mask",
    )
    params, state, gradient = passes(net, (16, 16, 3), jax.random.normal(jax.random.key(2), (2, 16, 16, 3)))
    assert net.out_spec(lm.base.as_spec((16, 16, 3))).shape == (16, 16, 1)
    assert sorted(state) == ["bottom", "down1", "down2", "merge1", "merge2"]
    assert all(np.abs(leaf).max() > 0 for path, leaf in jax.tree.leaves_with_path(gradient) if "bias" not in str(path))
    # The skip connection carries: with the deep path's weights at zero the picture still reaches the mask.
    cut = {**params, "up1": jax.tree.map(jnp.zeros_like, params["up1"])}
    masks = [
        run(net, cut, state, jax.random.normal(jax.random.key(seed), (1, 16, 16, 3)), train=True)[0] for seed in (3, 4)
    ]
    assert not np.allclose(*masks)


def test_inception_with_an_auxiliary_head() -> None:
    def inception(filters: int) -> lm.Layer:
        return lm.Parallel(
            one=lm.Sequential(lm.Conv(filters, 1), lm.relu),
            three=lm.Sequential(lm.Conv(filters, 1), lm.relu, lm.Conv(filters, 3), lm.relu),
            five=lm.Sequential(lm.Conv(filters, 1), lm.relu, lm.Conv(filters, 5), lm.relu),
            pool=lm.Sequential(lm.MaxPool(3, strides=1, padding="SAME"), lm.Conv(filters, 1), lm.relu),
        )

    head = lm.Sequential(lm.AvgPool(2), lm.Flatten(), lm.Dense(5))
    net = lm.Sequential(
        stem=inception(3),
        aux=lm.Auxiliary(head, weight=0.3),
        body=inception(2),
        pool=lm.GlobalAvgPool(),
        fc=lm.Dense(5),
    )
    x = jax.random.normal(jax.random.key(2), (2, 8, 8, 3))
    params, state, gradient = passes(net, (8, 8, 3), x)
    assert net.out_spec(lm.base.as_spec((8, 8, 3))).shape == (5,)
    # The head is none of the output's business ...
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves(gradient["aux"]))

    # ... but the loss hears of it through the tape, and its gradient reaches the head and the stem.
    def loss(params: Any) -> Any:
        tape = lm.Tape()
        net.apply(params, state, x, train=True, tape=tape)
        ((kind, path, (weight, logits)),) = tape.emitted
        assert (kind, path) == ("logits", "aux")
        assert logits.shape == (2, 5)
        return weight * jnp.mean(jnp.square(logits))

    auxiliary = jax.jit(jax.grad(loss))(params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(auxiliary["aux"]))
    assert all(np.abs(leaf).max() > 0 for path, leaf in jax.tree.leaves_with_path(auxiliary["stem"]) if leaf.ndim > 1)
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves((auxiliary["body"], auxiliary["fc"])))
    tape = lm.Tape()
    net.apply(params, state, x, tape=tape)
    assert tape.emitted == []


def test_siamese_network_shares_its_encoder() -> None:
    encoder = lm.Sequential(lm.Conv(4, 3), lm.BatchNorm(), lm.relu, lm.GlobalAvgPool(), lm.Dense(3))
    net = lm.Graph(
        inputs=("left", "right"),
        nodes={
            "a": (encoder, "left"),
            "b": ("a", "right"),
            "difference": (lm.Merge("subtract"), ("a", "b")),
            "same": (lm.Dense(1, use_bias=False), "difference"),
        },
        outputs="same",
    )
    shape = {"left": (6, 6, 1), "right": (6, 6, 1)}
    left, right = (jax.random.normal(jax.random.key(seed), (3, 6, 6, 1)) for seed in (1, 2))
    params, state, _ = passes(net, shape, {"left": left, "right": right})
    assert sorted(params) == ["a", "same"]
    y, _ = run(net, params, state, {"left": left, "right": right})
    swapped, _ = run(net, params, state, {"left": right, "right": left})
    np.testing.assert_allclose(y, -swapped, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run(net, params, state, {"left": left, "right": left})[0], 0)

    # Both calls' gradients add up, and the running statistics see both batches one after the other.
    def outputs(shared: Any, other: Any) -> Any:
        a, _ = run(encoder, shared, state["a"], left)
        b, _ = run(encoder, other, state["a"], right)
        return jnp.sum((a - b) @ params["same"]["kernel"])

    apart = jax.grad(outputs, (0, 1))(params["a"], params["a"])
    together = jax.grad(lambda params: jnp.sum(run(net, params, state, {"left": left, "right": right})[0]))(params)
    jax.tree.map(
        lambda whole, one, two: np.testing.assert_allclose(whole, one + two, rtol=1e-4, atol=1e-5),
        together["a"],
        *apart,
    )
    _, once = run(encoder, params["a"], state["a"], left, train=True)
    _, twice = run(encoder, params["a"], once, right, train=True)
    _, after = run(net, params, state, {"left": left, "right": right}, train=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), after["a"], twice)


def test_tied_auto_encoder() -> None:
    net = lm.Tied(
        lm.Sequential(
            encoder=lm.Sequential(lm.Dense(3), lm.sigmoid),
            decoder=lm.Sequential(lm.Dense(8)),
        ),
        {"decoder.0.kernel": "encoder.0.kernel.T"},
    )
    x = jax.random.uniform(jax.random.key(2), (4, 8))
    params, state, gradient = passes(net, (8,), x)
    assert jax.tree.map(jnp.shape, params) == {
        "encoder": {"0": {"kernel": (8, 3), "bias": (3,)}},
        "decoder": {"0": {"bias": (8,)}},
    }
    kernel = params["encoder"]["0"]["kernel"]

    def by_hand(kernel: Any) -> Any:
        hidden = jax.nn.sigmoid(x @ kernel + params["encoder"]["0"]["bias"])
        return hidden @ kernel.T + params["decoder"]["0"]["bias"]

    np.testing.assert_allclose(run(net, params, state, x)[0], by_hand(kernel), rtol=1e-5)
    expected = jax.grad(lambda kernel: jnp.mean(jnp.square(by_hand(kernel))))(kernel)
    np.testing.assert_allclose(gradient["encoder"]["0"]["kernel"], expected, rtol=1e-4, atol=1e-6)
