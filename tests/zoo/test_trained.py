"""Weights that people have, against the same file run in PyTorch: the same answers on photographs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lamina as lm
from lamina.errors import ConfigError
from lamina.zoo import checkpoint
from lamina.zoo.building import installed

torch = pytest.importorskip("torch")
Tensors = dict[str, Any]


def squeezenet(w: Tensors, x: Any) -> Any:
    f = torch.nn.functional

    def conv(name: str, x: Any, **options: Any) -> Any:
        return f.relu(f.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options))

    def pool(x: Any) -> Any:
        return f.max_pool2d(x, 3, 2, ceil_mode=True)

    x = pool(conv("conv1", x.flip(1), stride=2))
    for number in range(2, 10):
        squeezed = conv(f"fire{number}/conv1x1_1", x)
        wide = conv(f"fire{number}/conv3x3_2", squeezed, padding=1)
        x = torch.cat([conv(f"fire{number}/conv1x1_2", squeezed), wide], 1)
        x = pool(x) if number in (4, 8) else x
    return conv("conv_final", x, padding=1).mean((2, 3))


def same(x: Any, kernel: Any, stride: int) -> Any:
    """Padded as TensorFlow does."""
    pads = []
    for size, window in zip(reversed(x.shape[2:]), reversed(kernel.shape[2:]), strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        pads += [total // 2, total - total // 2]
    return torch.nn.functional.pad(x, pads)


def mobilenet(w: Tensors, x: Any) -> Any:
    f = torch.nn.functional
    names = [name.removesuffix(".weight") for name in w if name.endswith(".weight")]
    halved = {0, 3, 7, 11, 23}
    for number, name in enumerate(names[:-1]):
        kernel = w[f"{name}.weight"]
        stride = 2 if number in halved else 1
        groups = len(kernel) if "DEPTHWISE" in name else 1
        x = f.conv2d(same(x, kernel, stride), kernel, w[f"{name}.bias"], stride, groups=groups).clamp(0, 6)
    return f.conv2d(x.mean((2, 3), keepdim=True), w[f"{names[-1]}.weight"], w[f"{names[-1]}.bias"])[..., 0, 0]


def efficientnet(w: Tensors, x: Any) -> Any:
    f = torch.nn.functional

    def norm(name: str, x: Any) -> Any:
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return f.batch_norm(x, mean, var, w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-3)

    def conv(name: str, x: Any, stride: int = 1) -> Any:
        kernel = w[f"{name}.weight"]
        return f.conv2d(same(x, kernel, stride), kernel, None, stride, groups=x.shape[1] // kernel.shape[1])

    x = norm("_bn0", conv("_conv_stem", x, 2)).clamp(0, 6)
    halved = {1, 3, 5, 11}
    for number in range(16):
        name, before = f"_blocks.{number}", x
        if number:
            x = norm(f"{name}._bn0", conv(f"{name}._expand_conv", x)).clamp(0, 6)
        x = norm(f"{name}._bn1", conv(f"{name}._depthwise_conv", x, 2 if number in halved else 1)).clamp(0, 6)
        x = norm(f"{name}._bn2", conv(f"{name}._project_conv", x))
        x = x + before if x.shape == before.shape else x
    x = norm("_bn1", conv("_conv_head", x)).clamp(0, 6).mean((2, 3))
    return f.linear(x, w["_fc.weight"], w["_fc.bias"])


def pretrained_efficientnet(folder: Path) -> Path:
    try:
        return installed("efficientnet_lite0")
    except ConfigError:
        pytest.skip("lamina[pretrained] is not installed")


Case = tuple[str, int | None, Callable[[Path], Path], Callable[[Tensors, Any], Any], float]
CASES: dict[str, Case] = {
    "squeezenet": ("squeezenet1_0", None, lambda d: d / "squeezenet1_0_imagenet_caffe_pruned.npz", squeezenet, 0.6),
    "mobilenet": ("mobilenet_v1", 128, lambda d: d / "mobilenet_v1_0.25_128_quant.npz", mobilenet, 0.4),
    "efficientnet": ("efficientnet_lite0", None, pretrained_efficientnet, efficientnet, 0.8),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_same_class_as_in_pytorch(case: str, shared_data: Path) -> None:
    arch, size, find, network, accuracy = CASES[case]
    file = find(shared_data / "weights")
    with (shared_data / "imagenet_mini" / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    pictures = [str(next((shared_data / "imagenet_mini").rglob(row["file"]))) for row in rows]
    model = lm.import_model(file, arch, size=size)
    got = model.predict(pictures).probabilities
    assert got is not None
    weights = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in checkpoint.read(file).items()}
    x: NDArray[np.float32] = np.asarray(model.preprocessing.transform(model.preprocessing.encode(pictures)))
    with torch.inference_mode():
        expected = network(weights, torch.tensor(x.transpose(0, 3, 1, 2).copy())).softmax(1).numpy()
    assert np.sum(got.argmax(1) == expected.argmax(1)) >= 99
    np.testing.assert_allclose(got, expected, atol=2e-3)
    background = got.shape[1] - 1000  # TensorFlow's networks count it as a class, the first
    truth = np.array([int(row["class_index"]) + background for row in rows])
    assert np.mean(got.argmax(1) == truth) > accuracy  # of 100 photographs
    names = [name.replace("_", " ") for name in (row["name"] for row in rows)]
    assert np.mean([model.target.names[index].startswith(name) for index, name in zip(truth, names, strict=True)]) == 1
