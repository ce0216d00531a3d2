"""Handwritten digits with a deep belief net: does it help a network to learn the pictures first, without their labels?

    python examples/dbn_mnist.py [path/to/mnist] [--out dbn_mnist] [--quick]

The folder holds MNIST's IDX files; without it the built-in digits of 8 × 8 pixels are learned. A network
784-500-500-2000-10 of sigmoid units is trained three times: with first weights from a stack of restricted Boltzmann
machines, with random ones, and as one would today, with rectified linear units and dropout. Hinton & Salakhutdinov
(2006) have 1.2 % of the test pictures wrong with the first and 1.6 % with the second. Martens (2010) showed that a
good optimiser learns such networks without the first step, too. The filters of the lowest machine are drawn as a
picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import lamina as lm


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", nargs="?", help="folder of MNIST's IDX files; default: the built-in digits")
    parser.add_argument("--out", default="dbn_mnist", help="folder of the picture")
    parser.add_argument("--quick", action="store_true", help="small networks")
    options = parser.parse_args(argv)
    data = lm.data.load(options.mnist or "digits", scale="minmax")
    pictures = np.asarray(data.preprocessing.transform(data.train.read(np.arange(len(data.train)))))
    sizes = (100, 100, 200) if options.quick else (500, 500, 2000)
    epochs = 30

    began = time.perf_counter()
    stack = lm.unsupervised.DBN(sizes).fit(pictures, epochs=20, progress=False)
    print(f"pre-training: {time.perf_counter() - began:.0f} s")
    Path(options.out).mkdir(parents=True, exist_ok=True)
    stack.machines[0].draw_filters(Path(options.out) / "filters.png")

    sigmoid = {"optimizer": lm.optim.Adam(1e-3, schedule=lm.optim.CosineDecay()), "epochs": epochs}
    relu = {"optimizer": lm.optim.Adam(1e-3, schedule=lm.optim.OneCycle()), "epochs": epochs}
    runs = {
        "pre-trained": (stack.classifier(10), sigmoid),
        "random": (sigmoid_network(sizes), sigmoid),
        "today's": (relu_network(sizes), relu),
    }
    errors = {}
    for name, (network, recipe) in runs.items():
        run = lm.fit(network, data, batch_size=100, seed=0, progress=False, **recipe)
        error, most, least = (1 - value for value in run.test["accuracy"])
        errors[name] = error
        print(f"{name:12} {error:6.2%} of the test pictures wrong ({least:.2%} to {most:.2%}), {run.seconds:.0f} s")
    return errors


def sigmoid_network(sizes: tuple[int, ...]) -> lm.Sequential:
    """Random first weights that suit sigmoid units (Glorot & Bengio 2010)."""
    glorot = lm.initializers.GlorotUniform(gain=4.0)
    layers = [part for size in sizes for part in (lm.Dense(size, kernel_init=glorot), lm.sigmoid)]
    return lm.Sequential(lm.Flatten(), *layers, lm.Dense(10))


def relu_network(sizes: tuple[int, ...]) -> lm.Sequential:
    """Rectified linear units with dropout (Srivastava et al. 2014)."""
    layers = [part for size in sizes for part in (lm.Dense(size), lm.relu, lm.Dropout(0.3))]
    return lm.Sequential(lm.Flatten(), lm.Dropout(0.1), *layers, lm.Dense(10))


if __name__ == "__main__":
    main()
