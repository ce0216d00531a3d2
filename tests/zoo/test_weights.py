"""PyTorch's weights in our networks: the same outputs, and plain words where they do not fit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as lm
from lamina import zoo
from lamina.errors import ModelFileError
from lamina.zoo import checkpoint, weights
from lamina.zoo.naming import entries

DATA = Path(__file__).parents[3] / "shared" / "data"
torch = pytest.importorskip("torch")

CHAIN = lm.Sequential(
    features=lm.Sequential(
        lm.Conv(6, 3, padding=1), lm.BatchNorm(), lm.relu, lm.MaxPool(2), lm.Conv(8, (1, 3), groups=2)
    ),
    flatten=lm.Flatten(),
    classifier=lm.Sequential(lm.Dropout(0.5), lm.Dense(10), lm.relu, lm.Dense(4)),
)


def torchs_chain() -> Any:
    nn = torch.nn
    features = nn.Sequential(
        *(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(6, 8, (1, 3), padding=(0, 1), groups=2),
    )
    classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(8 * 3 * 5, 10), nn.ReLU(), nn.Linear(10, 4))
    network = nn.Sequential()
    network.add_module("features", features)
    network.add_module("flatten", nn.Flatten())
    network.add_module("classifier", classifier)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 2)
    return network.eval()


def test_the_same_outputs_as_pytorchs(tmp_path: Path) -> None:
    theirs = torchs_chain()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    params, state = weights.assign(CHAIN, (6, 10, 4), checkpoint.read(tmp_path / "w.pth"))
    x = np.random.default_rng(0).standard_normal((3, 6, 10, 4)).astype(np.float32)
    with torch.no_grad():
        expected = theirs(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(CHAIN.apply(params, state, x)[0], expected, rtol=1e-4, atol=1e-5)


def test_what_is_saved_loads_into_pytorch_and_back(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    params, state = CHAIN.init(jax.random.key(0), (6, 10, 4))
    weights.save(tmp_path / "w.safetensors", CHAIN, (6, 10, 4), params, state)
    theirs = torchs_chain()
    missing, unexpected = theirs.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    x = np.random.default_rng(0).standard_normal((3, 6, 10, 4)).astype(np.float32)
    with torch.no_grad():
        got = theirs(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(got, CHAIN.apply(params, state, x)[0], rtol=1e-4, atol=1e-5)
    again = weights.assign(CHAIN, (6, 10, 4), checkpoint.read(tmp_path / "w.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, again, (params, state))


def test_what_does_not_fit_is_named() -> None:
    params, state = CHAIN.init(jax.random.key(0), (6, 10, 4))
    del params, state
    given = {entry.name: np.zeros(entry.torch_shape, np.float32) for entry in entries(CHAIN, (6, 10, 4), frozenset())}
    given["features.1.num_batches_tracked"] = np.zeros((), np.int64)
    weights.assign(CHAIN, (6, 10, 4), given)
    wrong = dict(given)
    del wrong["features.0.bias"]
    wrong["classifier.3.weight"] = np.zeros((1000, 10), np.float32)
    wrong["fc.weight"] = np.zeros((2, 2), np.float32)
    with pytest.raises(ModelFileError) as caught:
        weights.assign(CHAIN, (6, 10, 4), wrong, source="w.pth")
    for words in (
        "w.pth does not hold",
        "missing: features.0.bias (6,)",
        "not in the network: fc.weight (2, 2)",
        "classifier.3.weight is (1000, 10), expected (4, 10)",
    ):
        assert words in str(caught.value)


NAMES = {
    "alexnet": ["features.10.weight", "classifier.6.bias"],
    "vgg16_bn": ["features.41.running_var", "classifier.3.weight"],
    "googlenet": ["conv2.bn.running_mean", "inception5b.branch3.1.conv.weight", "aux2.conv.conv.weight", "fc.bias"],
    "resnet18": ["layer2.0.downsample.0.weight", "layer4.1.bn2.running_mean", "fc.weight"],
    "resnet50": ["layer1.0.conv3.weight", "layer1.0.downsample.1.bias", "layer4.2.bn3.weight"],
    "squeezenet1_1": ["features.3.squeeze.weight", "features.12.expand3x3.bias", "classifier.1.weight"],
    "mobilenet_v2": [
        "features.0.0.weight",
        "features.1.conv.1.weight",
        "features.17.conv.3.running_var",
        "classifier.1.bias",
    ],
    "efficientnet_lite0": [
        "_conv_stem.weight",
        "_blocks.1._bn0.running_mean",
        "_blocks.15._project_conv.weight",
        "_fc.bias",
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_names(name: str) -> None:
    found = zoo.architecture(name)
    names = {entry.name for entry in entries(zoo.build(name), found.input_shape, found.unnamed)}
    assert set(NAMES[name]) <= names
    assert len(names) == len(entries(zoo.build(name), found.input_shape, found.unnamed))


@pytest.mark.parametrize(("name", "accuracy"), [("resnet20", 0.81), ("resnet56", 0.832)])
def test_trained_weights_recognise_pictures(name: str, accuracy: float) -> None:
    files = sorted((DATA / "weights").glob(f"{name}-*.th"))
    if not files:
        pytest.skip("the weights are not here")
    from PIL import Image

    network, found = zoo.build(name), zoo.architecture(name)
    params, state = weights.assign(network, (32, 32, 3), checkpoint.read(files[0]), found.unnamed)
    pictures, labels = [], []
    with zipfile.ZipFile(DATA / "cifar10_jpeg.zip") as archive:
        names = [entry for entry in sorted(archive.namelist()) if "test" in entry and entry.endswith((".jpg", ".jpeg"))]
        classes = sorted({entry.split("/")[-2] for entry in names})
        for entry in names[:: max(len(names) // 500, 1)]:
            pictures.append(np.asarray(Image.open(io.BytesIO(archive.read(entry))).convert("RGB"), np.float32) / 255)
            labels.append(classes.index(entry.split("/")[-2]))
    x = (np.stack(pictures) - [0.485, 0.456, 0.406]) / np.array([0.229, 0.224, 0.225])
    logits = jax.jit(lambda x: network.apply(params, state, x)[0])(jnp.asarray(x, jnp.float32))
    right = np.mean(np.argmax(logits, 1) == np.array(labels))
    assert abs(right - accuracy) < 0.06  # of 500 pictures
