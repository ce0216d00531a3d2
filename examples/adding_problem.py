"""The adding problem (Hochreiter & Schmidhuber 1997): which recurrent network learns to keep a number?

Each of 200 steps brings a number from 0 to 1 and a mark. Two steps are marked, one in the first tenth and one in the
first half; the answer, asked for at the end, is the sum of the two marked numbers. Who always says 1 has a mean squared
error of 1/6. To do better, a network must keep a number for more than a hundred steps, and learning to keep it takes
a gradient that reaches so far back.

Gates alone do not give it: with a forget bias of 1, a cell starts with a memory of some four steps. `span` starts cells
with memories of all lengths up to the sequence's (Tallec & Ollivier 2018).

Started as a program, it trains an LSTM and a GRU with `span`, an LSTM without and a plain network from several seeds,
prints their errors on sequences that none has seen, and draws their learning curves and how far back their gradients
reach: `adding_problem.png`.
"""

import argparse
import time
from collections.abc import Callable

import jax
import numpy as np
from matplotlib.figure import Figure

import lamina as lm
from lamina.report.plots import FONT, style
from lamina.report.svg import FAINT, MUTED, PAPER, SERIES
from lamina.report.time_plots import draw_state_gradients

UNITS = 64
CHANCE = 1 / 6
KINDS: dict[str, Callable[[int], lm.Layer]] = {
    "LSTM": lambda steps: lm.LSTM(UNITS, span=steps),
    "GRU": lambda steps: lm.GRU(UNITS, span=steps),
    "LSTM, forget bias 1": lambda steps: lm.LSTM(UNITS),
    "SimpleRNN": lambda steps: lm.SimpleRNN(UNITS),
}


def sequences(count: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(count, steps, 2)``, numbers and marks, and the sums of the marked numbers ``(count,)``."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(size=(count, steps))
    marks = np.zeros((count, steps))
    rows = np.arange(count)
    first = random.integers(0, steps // 10, count)
    second = random.integers(steps // 10, steps // 2, count)
    marks[rows, first] = marks[rows, second] = 1
    return np.stack([numbers, marks], axis=-1).astype(np.float32), (numbers * marks).sum(axis=1)


def network(kind: str, steps: int) -> lm.Sequential:
    return lm.Sequential(rnn=KINDS[kind](steps), head=lm.Dense(1))


def reach(kind: str, steps: int, seed: int, params: dict | None = None) -> np.ndarray:
    """The norm of the gradient at the state after every step, with first weights or those given."""
    net = network(kind, steps)
    x, y = sequences(64, steps, seed + 1000)
    first, state = net.init(jax.random.key(seed), x.shape[1:])
    y = ((y - 1) / np.sqrt(CHANCE))[:, None].astype(np.float32)
    return lm.state_gradients(net, first if params is None else params, state, x, y, lm.losses.SquaredError())[
        "rnn"
    ].whole


def picture(histories: dict, gradients: dict, scale: float, path: str) -> None:
    figure = Figure(figsize=(11, 4), layout="constrained", facecolor=PAPER)
    curves, before = figure.subplots(1, 2)
    for axes in (curves, before):
        style(axes)
    for number, (kind, runs) in enumerate(histories.items()):
        for index, history in enumerate(runs):
            losses = [scale * row["val_loss"] for row in history]
            label = kind if index == 0 else None
            curves.plot(range(1, len(losses) + 1), losses, color=SERIES[number], linewidth=1.6, label=label)
    curves.axhline(CHANCE, color=FAINT, linewidth=1.2, linestyle="--")
    curves.set_yscale("log")
    curves.set_xlabel("Epoch")
    curves.set_title("Validation squared error (dashed: always 1)", fontsize=FONT, color=MUTED, loc="left")
    curves.legend(frameon=False, fontsize=FONT - 1, labelcolor=MUTED)
    draw_state_gradients(before, gradients)
    before.set_title("Norm of the gradient at the state, trained", fontsize=FONT, color=MUTED, loc="left")
    figure.savefig(path, dpi=150)


def main(
    steps: int = 200, examples: int = 10_000, epochs: int = 8, seeds: int = 3, path: str = "adding_problem.png"
) -> dict:
    began = time.perf_counter()
    x, y = sequences(examples + 2000, steps, seed=0)
    parts = {
        "train": (x[:-2000], y[:-2000]),
        "validation": (x[-2000:-1000], y[-2000:-1000]),
        "test": (x[-1000:], y[-1000:]),
    }
    optimizer = lm.optim.Adam(2e-3, schedule=lm.optim.CosineDecay(), clip_norm=1.0)
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS}
    histories: dict[str, list] = {kind: [] for kind in KINDS}
    trained: dict[str, dict] = {}
    for kind in KINDS:
        for seed in range(seeds):
            data = lm.data.load(parts, task="regress")
            run = lm.fit(
                network(kind, steps), data, optimizer=optimizer, epochs=epochs, batch_size=50, seed=seed, progress=False
            )
            error = np.mean((run.model.predict(x[-1000:]).values[:, 0] - y[-1000:]) ** 2)
            errors[kind].append(float(error))
            histories[kind].append(run.history)
            trained.setdefault(kind, run.model.params)
        print(f"{kind:20} squared error on the test split, seed by seed:", *(f"{e:.5f}" for e in errors[kind]))
    print(f"{'always 1':20} {np.mean((1 - y[-1000:]) ** 2):.5f}")
    gradients = {kind: reach(kind, steps, 0, params) for kind, params in trained.items()}
    for kind, norms in gradients.items():
        print(f"{kind:20} trained: gradient at the first step over that at the last: {norms[0] / norms[-1]:.1e}")
    picture(histories, gradients, float(np.var(parts["train"][1])), path)
    print(f"In all {time.perf_counter() - began:,.0f} s; the picture: {path}")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="30 steps, one seed: a minute's look")
    if parser.parse_args().quick:
        main(steps=30, examples=3000, epochs=8, seeds=1)
    else:
        main()
