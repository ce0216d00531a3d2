"""Write tests/zoo/torchvision.json: what torchvision's networks compute, which the zoo's are compared with.

In an environment of its own, since torchvision is heavy and nothing else needs it::

    python -m venv reference
    reference/bin/pip install torch==2.14.1 torchvision==0.29.1 numpy
    reference/bin/python tools/torchvision_reference.py            # all networks; or name some, the others stay

Weights, running statistics, pictures and labels come from a formula (`tensor`, `pictures`, `labels`), which the tests
share, so that only results are kept:

- logits in evaluation, in float64;
- of the gradient of the loss in training, without dropout, the projections of every tensor on `PROJECTIONS` vectors of
  ±1. The mean square of the differences between two gradients' projections is, on average over the signs, the square of
  the norm of their difference;
- the same of BatchNorm's running statistics after that step (the variance as sum of squares / count);
- how far torchvision's own results in float32 are from these, in norm.

The gradient is discontinuous where a ReLU's input is 0 or where two places share a window's maximum. With an input
nearer to that than rounding, its distance from float64 would be a matter of luck. So of a few batches that is taken in
which the fewest inputs are within 8 times the rounding errors that torchvision makes there.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).parents[1] / "tests" / "zoo" / "torchvision.json"
BATCH, CLASSES, PROJECTIONS = 2, 10, 4
AUXILIARY = 0.3  # weight of the losses of GoogLeNet's auxiliary heads
SEEDS = 24  # batches to choose from

# Height and width of the pictures: small, where there are so many ReLUs that one would be near its kink.
SIZES = {"alexnet": (224, 224), "googlenet": (88, 72), "vgg11": (40, 32), "vgg16": (40, 32)}
SIZE = (72, 64)
# The formula's numbers (see `tensor`): a lower gain where residual sums would let signals grow; shifts of 2 behind
# BatchNorm; all of them positive in MobileNet, where a channel that ReLU6 shuts would have no variance.
PLAIN = {"gain": 1.0, "shift": 0.1, "negative": 0.5}
NORMED = {"gain": 1.0, "shift": 2.0, "negative": 0.5}
# Not all depths, but every kind of block.
NETWORKS = {
    "alexnet": PLAIN,
    "vgg11": PLAIN,
    "vgg16": PLAIN,
    "vgg16_bn": NORMED,
    "googlenet": NORMED,
    "resnet18": {**NORMED, "gain": 0.8},
    "resnet34": {**NORMED, "gain": 0.8},
    "resnet50": {**NORMED, "gain": 0.7},
    "squeezenet1_0": PLAIN,
    "squeezenet1_1": PLAIN,
    "mobilenet_v2": {"gain": 0.8, "shift": 2.0, "negative": 0.0},
}


def bits(name: str, start: int, stop: int) -> np.ndarray:
    """32 bits that look random for each index of a tensor: Wellons' "lowbias32" hash of the index and the name."""
    x = np.arange(start, stop, dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 2⁻²³ in [-1, 1), float32."""
    values = (bits(name, 0, int(np.prod(shape))) >> np.uint32(8)).astype(np.float32)
    return (values * np.float32(2**-23) - np.float32(1)).reshape(shape)


def tensor(name: str, shape: tuple[int, ...], *, gain: float, shift: float, negative: float) -> np.ndarray:
    """A tensor of a network by its name and shape in torchvision, float32.

    Args:
        gain: of kernels; with 1 they are He's, and signals keep their size through a ReLU.
        shift: size of the biases, within a third. After BatchNorm, 2 keeps most inputs of a ReLU away from 0.
        negative: the fraction of them below 0.

    BatchNorm's scales and running variances lie in [0.5, 1.5), its running means in [-0.3, 0.3).
    """
    values = uniform(name, shape)
    if len(shape) > 1:
        return values * np.float32(gain * np.sqrt(6 / np.prod(shape[1:])))
    if name.endswith("running_mean"):
        return values * np.float32(0.3)
    if name.endswith("bias"):
        sizes = np.float32(shift / 1.5) * (np.float32(1) + np.abs(values))
        return np.where(values < 2 * negative - 1, -sizes, sizes)
    return np.float32(1) + values * np.float32(0.5)


def pictures(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A batch: (batch, 3, height, width), of variance 1."""
    return uniform(f"pictures {seed}", (BATCH, 3, *size)) * np.float32(np.sqrt(3))


def labels() -> np.ndarray:
    return np.arange(BATCH) * 7 % CLASSES


def projections(tensors: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Scalar products of tensors, as torchvision lays them out, with vectors of ±1 that their names give.

    By name; those of all running means are added up under "running_mean", as are those of the running variances.
    """
    found: dict[str, np.ndarray] = {}
    chunk = 1 << 18
    for name, values in tensors:
        flat, total = values.reshape(-1), np.zeros(PROJECTIONS)
        for start in range(0, flat.size, chunk):
            part = flat[start : start + chunk].astype(np.float64)
            low = bits(f"signs of {name}", start, start + part.size).astype(np.uint8)[:, None]
            total += part @ (2.0 * np.unpackbits(low, axis=1, count=PROJECTIONS) - 1.0)
        found[_key(name)] = found.get(_key(name), 0) + total
    return found


def norms(tensors: Iterable[tuple[str, np.ndarray]]) -> dict[str, float]:
    """Euclidean norms, under the same keys."""
    found: dict[str, float] = {}
    for name, values in tensors:
        found[_key(name)] = float(np.hypot(found.get(_key(name), 0), np.linalg.norm(values.ravel())))
    return found


def _key(name: str) -> str:
    last = name.rsplit(".", 1)[-1]
    return last if last.startswith("running") else name


def make(name: str, dtype: Any) -> Any:
    """Torchvision's network with the formula's weights and without dropout."""
    import torch
    import torchvision

    options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    network = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, **options).to(dtype)
    for key, value in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(tensor(key, tuple(value.shape), **NETWORKS[name])))
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network


def outputs_of(network: Any, x: np.ndarray) -> Any:
    import torch

    return network(torch.from_numpy(x).to(next(network.parameters()).dtype))


def train(network: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Gradients of the loss, and the new running statistics, by name."""
    import torch
    from torch.nn.functional import cross_entropy

    counts: dict[str, int] = {}
    batch_norms = [(key, part) for key, part in network.named_modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for key, part in batch_norms:
        part.register_forward_pre_hook(lambda _, given, key=key: counts.update({key: given[0][:, 0].numel()}))
    before = {key: part.running_var.clone() for key, part in batch_norms}
    target = torch.from_numpy(labels())
    outputs = outputs_of(network.train(), x)
    if isinstance(outputs, tuple):
        loss = cross_entropy(outputs.logits, target)
        loss = loss + AUXILIARY * sum(cross_entropy(aux, target) for aux in (outputs.aux_logits1, outputs.aux_logits2))
    else:
        loss = cross_entropy(outputs, target)
    loss.backward()
    results = {key: value.grad.numpy() for key, value in network.named_parameters()}
    for key, part in batch_norms:
        results[f"{key}.running_mean"] = part.running_mean.numpy()
        kept = (1 - part.momentum) * before[key]
        results[f"{key}.running_var"] = (kept + (part.running_var - kept) * (1 - 1 / counts[key])).numpy()
    return results


def recorder(kinks: list[Any]) -> Any:
    """A context that appends (operation, its input, its other arguments) for every ReLU and maximum."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__.rstrip("_")
            if name in ("relu", "hardtanh", "max_pool2d_with_indices"):
                kinks.append((name, args[0].detach().double().clone(), args[1:]))
            return func(*args, **(kwargs or {}))

    return Recorder()


def near_kinks(exact: list[Any], rounded: list[Any]) -> int:
    """How many inputs are nearer to a kink than 8 times the root mean square of their layer's rounding errors."""
    count = 0
    for (name, x, rest), (_, other, _) in zip(exact, rounded, strict=True):
        margin = 8 * (x - other).square().mean().sqrt()
        if name == "max_pool2d_with_indices":
            count += int((_gaps(x, *rest) < 2 * margin).sum())
        else:
            count += int((x.abs() < margin).sum())
        if name == "hardtanh":
            count += int(((x - rest[1]).abs() < margin).sum())
    return count


def _gaps(x: Any, window: Any, strides: Any, padding: Any = (0, 0), dilation: Any = 1, ceil_mode: bool = False) -> Any:
    """Between the two largest values of every window; infinite where they are equal.

    They are where ReLU leaves nothing, or where an overlapping pool before this one took the same place twice: then the
    gradient goes to one and the same place.
    """
    import torch

    sides = []
    for axis in (1, 0):  # `pad` begins with the last
        rest = x.shape[2 + axis] + 2 * padding[axis] - window[axis]
        sides += [padding[axis], padding[axis] + (-rest % strides[axis] if ceil_mode else 0)]
    padded = torch.nn.functional.pad(x, sides, value=-torch.inf)
    windows = padded.unfold(2, window[0], strides[0]).unfold(3, window[1], strides[1]).flatten(4)
    first, second = windows.topk(2).values.unbind(-1)
    return torch.where(first == second, torch.inf, first - second)


def reference(name: str) -> dict[str, Any]:
    """What the file keeps of one network."""
    import torch

    size = SIZES.get(name, SIZE)
    single, double = (make(name, dtype) for dtype in (torch.float32, torch.float64))
    fewest, seed = None, 0
    for candidate in range(SEEDS):
        kinks: tuple[list[Any], list[Any]] = [], []
        for network, into in zip((double, single), kinks, strict=True):
            with torch.no_grad(), recorder(into):
                outputs_of(network.train(), pictures(candidate, size))
        near = near_kinks(*kinks)
        if fewest is None or near < fewest:
            fewest, seed = near, candidate
        if near == 0:
            break
    x = pictures(seed, size)
    single, double = (make(name, dtype) for dtype in (torch.float32, torch.float64))
    with torch.no_grad():
        logits, rounded = (outputs_of(network.eval(), x).double().numpy() for network in (double, single))
    exact, close = train(double, x), train(single, x)
    far = norms((key, close[key] - value) for key, value in exact.items())
    size_of, signed = norms(exact.items()), projections(exact.items())
    return {
        "size": size,
        "formula": NETWORKS[name],
        "seed": seed,
        "near_kinks": fewest,
        "logits": [_short(value, 10) for value in logits.ravel()],
        "logits_distance": _short(np.linalg.norm(rounded - logits), 3),
        # Norm, torchvision's distance, projections.
        "tensors": {
            key: [_short(norm, 4), _short(far[key], 3), *(_short(number, 10) for number in signed[key])]
            for key, norm in size_of.items()
        },
    }


def _short(value: Any, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def main(arguments: list[str]) -> None:
    import torch
    import torchvision

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    names = parser.parse_args(arguments).networks
    about = {"by": "tools/torchvision_reference.py", "torch": torch.__version__, "torchvision": torchvision.__version__}
    kept = json.loads(TARGET.read_text())["networks"] if TARGET.exists() else {}
    for name in names:
        kept[name] = reference(name)
        TARGET.write_text(_written({**about, "networks": {name: kept[name] for name in NETWORKS if name in kept}}))
        print(name, {key: value for key, value in kept[name].items() if key not in ("logits", "tensors")}, flush=True)


def _written(value: Any, depth: int = 0) -> str:
    """JSON with a line for every tensor."""
    if not isinstance(value, dict) or depth == 4 or not value:
        return json.dumps(value)
    lines = (f"{json.dumps(key)}: {_written(item, depth + 1)}" for key, item in value.items())
    return "{\n" + ",\n".join(lines) + "\n}" + ("" if depth else "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
