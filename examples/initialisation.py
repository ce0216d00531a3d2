"""Glorot & Bengio 2010 run again, small: how activations and gradients spread through five hidden layers.

    python examples/initialisation.py [path/to/mnist] [--out initialisation] [--quick]

Sigmoid, tanh, softsign and ReLU, each with the uniform heuristic of old, U(-1/√n, 1/√n) for n inputs, and with Xavier's
initialisation. Before any training, with the uniform heuristic the gradient shrinks on its way down from layer to layer
and with Xavier's it keeps its size; the accuracy after a few epochs of plain gradient descent follows.

Source: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import lamina as lm
from lamina.data import Data
from lamina.initializers import FanInUniform, GlorotUniform, Initializer
from lamina.losses import SoftmaxCrossEntropy
from lamina.optim import SGD

ACTIVATIONS = {"sigmoid": lm.sigmoid, "tanh": lm.tanh, "softsign": lm.softsign, "ReLU": lm.relu}
STARTS = {"uniform heuristic": FanInUniform(), "Xavier": GlorotUniform()}
LAYERS = 5


@dataclass
class Spread:
    """Standard deviation of each hidden layer's activations and gradients before training, and the accuracy after."""

    activations: list[float]
    gradients: list[float]
    accuracy: float = 0.0


def main(argv: list[str] | None = None) -> dict[tuple[str, str], Spread]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", nargs="?", help="folder of MNIST's IDX files; default: the built-in digits")
    parser.add_argument("--out", default="initialisation", help="folder of the plots")
    parser.add_argument("--quick", action="store_true", help="fewer units and epochs")
    options = parser.parse_args(argv)
    began = time.perf_counter()
    data = lm.data.load(options.mnist or "digits")
    units, epochs = (100, 3) if options.quick else (500, 10)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)

    found: dict[tuple[str, str], Spread] = {}
    print(f"{'':<28} gradient, layer 1 / layer {LAYERS}   test accuracy after {epochs} epochs")
    for act in ACTIVATIONS:
        for start in STARTS:
            net = network(ACTIVATIONS[act], STARTS[start], units, data.target.units)
            spread = found[act, start] = measured(net, data)
            run = lm.fit(net, data, optimizer=SGD(0.05), epochs=epochs, batch_size=10, progress=False)
            spread.accuracy = float((run.test or run.validation)["accuracy"].value or 0)
            ratio = spread.gradients[0] / spread.gradients[-1]
            print(f"{act:<9} {start:<18} {ratio:20.2g} {spread.accuracy:25.1%}")
    plot(found, out / "spread.svg")
    print(f"Plots: {out / 'spread.svg'}. In all {time.perf_counter() - began:,.0f} s")
    return found


def network(act: lm.Layer, start: Initializer, units: int, classes: int) -> lm.Sequential:
    """Five hidden layers and logits."""
    hidden: dict[str, lm.Layer] = {}
    for index in range(1, LAYERS + 1):
        hidden |= {f"dense{index}": lm.Dense(units, kernel_init=start), f"act{index}": act}
    return lm.Sequential(flatten=lm.Flatten(), **hidden, head=lm.Dense(classes, kernel_init=start))


def measured(net: lm.Sequential, data: Data, examples: int = 300) -> Spread:
    """The spread at the start: of what the hidden layers give, and of the loss' gradient by it."""
    params, state = net.init(jax.random.key(0), data.preprocessing.input_spec())
    rows = np.arange(min(examples, len(data.train)))
    x = jnp.asarray(data.preprocessing.transform(data.train.read(rows)))
    y = jnp.asarray(data.train.targets[rows])
    names = [f"act{index}" for index in range(1, LAYERS + 1)]

    def taps(perturbations: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        tape = lm.Tape(wanted=frozenset(names), perturbations=perturbations)
        logits, _ = net.apply(params, state, x, tape=tape)
        return SoftmaxCrossEntropy(reduction="sum")(logits, y), tape.taps

    shapes = jax.eval_shape(lambda: taps({})[1])
    zeros = {name: jnp.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
    gradients, activations = jax.jit(jax.grad(taps, has_aux=True))(zeros)
    return Spread([float(activations[n].std()) for n in names], [float(gradients[n].std()) for n in names])


def plot(found: dict[tuple[str, str], Spread], path: Path) -> None:
    """Activations above, gradients below, by layer; the test accuracies after training in the corners."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    grid = figure.subplots(2, len(ACTIVATIONS), sharex=True, sharey="row")
    for column, act in enumerate(ACTIVATIONS):
        grid[0, column].set_title(act)
        for index, start in enumerate(STARTS):
            spread, color = found[act, start], f"C{index}"
            for axes, values in zip(grid[:, column], (spread.activations, spread.gradients), strict=True):
                axes.plot(range(1, LAYERS + 1), values, "o-", color=color, label=start)
                axes.set_yscale("log")
                axes.spines[["top", "right"]].set_visible(False)
            place = {"x": 0.97, "y": 0.12 - 0.08 * index, "ha": "right", "transform": grid[1, column].transAxes}
            grid[1, column].text(s=f"{spread.accuracy:.1%} right", color=color, **place)
        grid[1, column].set_xlabel("hidden layer")
        grid[1, column].set_xticks(range(1, LAYERS + 1))
    grid[0, 0].set_ylabel("spread of activations")
    grid[1, 0].set_ylabel("spread of gradients")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(STARTS), frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
