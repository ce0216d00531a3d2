"""Hinton & Salakhutdinov, Science 2006, on MNIST: a deep auto-encoder beside PCA and logistic PCA.

    python examples/autoencoder_mnist.py path/to/mnist [--minutes 6] [--out autoencoder_mnist] [--quick]

The folder holds MNIST's IDX files. The network is the paper's, 784-1000-500-250-30 with a linear code and its mirror;
the paper's squared errors a picture on the test part are 3.00 (pre-trained auto-encoder), 8.01 (logistic PCA, 30
components) and 13.87 (PCA). It prints

1. the auto-encoder by a recipe of today (GELU, He's initialisation, AdamW, one-cycle, pictures moved by up to a pixel),
   beside PCA and logistic PCA. The latter's codes are the most likely ones, sought picture by picture; the paper's
   figure is met by one layer each way, a linear code and sigmoid pixels, which is in the table, too;
2. the paper's sigmoid network after the same time from five initialisations: pre-trained as a stack of RBMs, uniform,
   Gaussian, Xavier and He;
3. where its pictures are: reconstructions, and the codes of …-250-2, pre-trained, beside PCA's first two components.

Without a folder it does all that with the built-in digits of 8 × 8 pixels; --quick takes few epochs in place of a time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import lamina as lm
from lamina.data import Data
from lamina.data.augment import Shift
from lamina.initializers import GlorotUniform, HeNormal, Initializer, Normal, Uniform
from lamina.losses import BinaryCrossEntropy
from lamina.optim import Adam, AdamW, OneCycle
from lamina.unsupervised import DBN, compare

PRETRAINED, ONE_LAYER = "RBM pre-trained", "one layer each way, sigmoid pixels"
PAPER = {PRETRAINED: 3.00, ONE_LAYER: 8.01, "PCA": 13.87}
QUICK = 40  # epochs
SHALLOW = 30  # epochs of the network of one layer each way
STARTS: dict[str, Initializer | None] = {
    PRETRAINED: None,
    "uniform": Uniform(0.05),
    "Gaussian": Normal(0.05),
    "Xavier": GlorotUniform(),
    "He": HeNormal(),
}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", nargs="?", help="folder of MNIST's IDX files; default: the built-in digits")
    parser.add_argument("--minutes", type=float, default=6.0, help="of each training")
    parser.add_argument("--out", default="autoencoder_mnist", help="folder of the pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few epochs a training, whatever their time")
    options = parser.parse_args(argv)
    began = time.perf_counter()
    data = lm.data.load(options.mnist or "digits", task="autoencode", seed=options.seed)
    widths, code = ([1000, 500, 250], 30) if options.mnist else ([256, 128, 64], 8)
    seconds = None if options.quick else 60 * options.minutes
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)

    def of_the_paper(name: str) -> str:
        return f"   paper {PAPER[name]:5.2f}" if name in PAPER and options.mnist else ""

    run = today(data, widths, code, seconds, options.seed)
    found = compare(run.model, data, seed=options.seed)
    found.write(out)
    print(f"Squared error a picture, {len(found.inputs):,} test pictures, {code} numbers a code")
    errors = {method.name: method.squared_error.value for method in found.methods}
    errors[ONE_LAYER] = shallow(data, code, options.seed).test["squared_error"].value
    for name, error in errors.items():
        print(
            f"  {'auto-encoder, recipe of today' if name == 'network' else name:<34} {error:6.2f}{of_the_paper(name)}"
        )

    long = f"{QUICK} epochs" if seconds is None else f"{seconds:,.0f} s"
    print(f"\nThe sigmoid network of the paper after {long} from each initialisation")
    print(f"  {'':<34} {'training':>9} {'validation':>11} {'test':>6}")
    table = {}
    for name in STARTS:
        one = from_start(name, data, widths, code, seconds, options.seed)
        table[name] = one.test["squared_error"].value
        training = one.history[-1]["squared_error"]
        validation = one.validation["squared_error"].value
        print(f"  {name:<34} {training:9.2f} {validation:11.2f} {table[name]:6.2f}{of_the_paper(name)}")

    flat = from_start(PRETRAINED, data, widths, 2, seconds, options.seed)
    compare(flat.model, data, seed=options.seed).write(out / "two")
    print(f"\nPictures: {out / 'comparison.html'}; codes of two numbers: {out / 'two' / 'codes.svg'}")
    print(f"In all {time.perf_counter() - began:,.0f} s")
    return {"methods": errors, "starts": table}


def network(shape: tuple[int, ...], widths: list[int], code: int, act: lm.Layer, start: Initializer) -> lm.Autoencoder:
    """Dense layers down to a linear code and their mirror up to a sigmoid for each pixel."""

    def dense(units: int) -> lm.Dense:
        return lm.Dense(units, kernel_init=start)

    down = [layer for width in widths for layer in (dense(width), act)]
    up = [layer for width in reversed(widths) for layer in (dense(width), act)]
    pixels = int(np.prod(shape))
    return lm.Autoencoder(
        lm.Sequential(lm.Flatten(), *down, dense(code)),
        lm.Sequential(*up, dense(pixels), lm.sigmoid, lm.Reshape(shape)),
    )


def today(data: Data, widths: list[int], code: int, seconds: float | None, seed: int) -> lm.Run:
    """Random weights, a smooth rectifier, a rate that rises and falls, pictures moved about: no pre-training."""
    net = network(data.preprocessing.input_spec().shape, widths, code, lm.gelu, HeNormal())
    optimizer = AdamW(3e-3, schedule=OneCycle(), weight_decay=0.02)
    return trained(net, data, optimizer, seconds, seed, augmentation=Shift(1 / 28))


def from_start(name: str, data: Data, widths: list[int], code: int, seconds: float | None, seed: int) -> lm.Run:
    """The paper's network, fine-tuned with Adam on cross-entropy; pre-training counts as its time."""
    began = time.perf_counter()
    start = STARTS[name]
    net: lm.Layer
    if start is None:
        net = pretrained(data, widths, code, None if seconds is None else seconds / 3, seed)
    else:
        net = network(data.preprocessing.input_spec().shape, widths, code, lm.sigmoid, start)
    left = None if seconds is None else max(seconds - (time.perf_counter() - began), 1.0)
    return trained(net, data, Adam(3e-3, schedule=OneCycle()), left, seed, progress=False)


def shallow(data: Data, code: int, seed: int) -> lm.Run:
    """A linear code and sigmoid pixels, no hidden layers: its error is what the paper gives for logistic PCA."""
    net = network(data.preprocessing.input_spec().shape, [], code, lm.sigmoid, GlorotUniform())
    return trained(net, data, Adam(3e-3, schedule=OneCycle()), None, seed, epochs=SHALLOW, progress=False)


def trained(
    net: lm.Layer, data: Data, optimizer: Adam, seconds: float | None, seed: int, *, epochs: int = QUICK, **options: Any
) -> lm.Run:
    """For so long, or without a time for so many epochs."""
    return lm.fit(
        net,
        data,
        loss=BinaryCrossEntropy(),  # after the same steps its squared error is lower than that of SquaredError
        optimizer=optimizer,
        epochs=epochs if seconds is None else 200,
        batch_size=128 if len(data.train) > 10_000 else 32,
        seed=seed,
        time_limit=seconds,
        **options,
    )


def pretrained(data: Data, widths: list[int], code: int, seconds: float | None, seed: int) -> lm.Layer:
    """A stack of RBMs unrolled, in about this time: an epoch of each machine is timed on a few examples first."""
    x = np.asarray(data.preprocessing.transform(data.train.read(np.arange(len(data.train)))))
    dbn = DBN([*widths, code], top="gaussian")
    epochs = 10
    if seconds is not None:
        few = x[: max(len(x) // 20, 1)]
        dbn.fit(few, epochs=1, progress=False)  # compiles
        began = time.perf_counter()
        dbn.fit(few, epochs=1, progress=False)
        epochs = min(max(int(seconds / (20 * (time.perf_counter() - began))), 1), 20)
    return dbn.fit(x, epochs=epochs, seed=seed, progress=False).unroll()


if __name__ == "__main__":
    main()
