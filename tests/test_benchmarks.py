"""The benchmarks: their statistics, their reports, and that the peers really compute the same."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lamina as lm
from lamina.data.base import ArraySplit
from lamina.data.decode import read_header
from lamina.kernels import native
from lamina.train.feed import Feed

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODULES = (
    "results",
    "networks",
    "data_and_weights",
    "peers",
    "steps",
    "commands",
    "sklearn_tables",
    "accuracy",
    "time_to_accuracy",
    "inference",
    "installed",
    "predict_folder",
    "rbm",
    "remat",
    "series",
    "workers.base",
    "workers.lamina_trainer",
    "workers.jax_trainer",
)
PROVENANCE = {
    "date": "2030-01-02 03:04 UTC",
    "machine": {"cpu": "A CPU", "instructions": ["AVX2"], "cores": 2, "memory_gb": 8, "os": "Linux", "load": 0.25},
    "versions": {"python": "3.11.0"},
    "command": "python benchmarks/steps.py",
}


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The benchmarks' modules, which import each other as the scripts that they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES})
        for name in (*MODULES, "workers"):
            sys.modules.pop(name, None)


def test_a_section_is_put_in_its_place_and_replaced_there(bench: SimpleNamespace) -> None:
    replace = bench.results.replace_section
    page = replace(bench.results.HEAD, "cold-start", "## Cold\n\nslow")
    page = replace(page, "steps-1-mlp", "## Step\n\n3 ms")
    assert page.startswith(bench.results.HEAD)
    assert page.index("## Step") < page.index("## Cold")
    again = replace(page, "steps-1-mlp", "## Step\n\n2 ms \\1")
    assert "3 ms" not in again
    assert "2 ms \\1" in again
    assert again.count("begin steps-1-mlp") == again.count("end steps-1-mlp") == 1
    assert "slow" in again
    assert replace(again, "cold-start", "## Cold\n\nslow") == again


def test_what_is_published_can_be_read_again(
    bench: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = {"provenance": PROVENANCE, "milliseconds": {"lamina": [1.0, 2.0]}}
    bench.results.publish(tmp_path, "steps-1-mlp", "A step", "| a |", raw)
    assert bench.results.load(tmp_path, "steps-1-mlp") == raw
    page = (tmp_path / "RESULTS.md").read_text()
    assert "## A step" in page
    assert "`python benchmarks/steps.py`, 2030-01-02 03:04 UTC. A CPU (AVX2), 2 cores, 8 GB, Linux, load before" in page
    bench.results.publish(None, "steps-1-mlp", "Unseen", "| a |", raw)
    assert "Unseen" in capsys.readouterr().out
    assert (tmp_path / "RESULTS.md").read_text() == page


def test_a_table_has_cells_of_one_number(bench: SimpleNamespace) -> None:
    assert bench.results.table(["", "x"], [["a|b", "1"]]) == "|  | x |\n| --- | ---: |\n| a\\|b | 1 |"
    with pytest.raises(ValueError, match="2 cells"):
        bench.results.table(["", "x"], [["a"]])


def test_the_shown_command_tells_no_paths(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/accuracy.py"])
    shown = bench.results.command(["adult", "--data", "/home/me/data", "--results=/tmp/x", "--quick"])
    assert shown == "python benchmarks/accuracy.py adult --data DATA --results=RESULTS --quick"


def test_ratios_are_paired_by_round(bench: SimpleNamespace) -> None:
    values = {"lamina": [1.0, 2.0, 10.0], "torch": [3.0, 4.0, 20.0]}
    assert bench.peers.ratios(values, "lamina") == {"torch": {"median": 2.0, "min": 2.0, "max": 3.0}}
    assert bench.peers.ratios({"torch": [1.0]}, "lamina") == {}
    assert bench.peers.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_every_peer_begins_a_round_in_its_turn(bench: SimpleNamespace) -> None:
    assert [bench.peers.rotated("abc", turn) for turn in range(4)] == [
        list("abc"),
        list("bca"),
        list("cab"),
        list("abc"),
    ]
    assert bench.peers.rotated([], 3) == []


def test_peers_are_pinned_alike(bench: SimpleNamespace) -> None:
    cores = bench.peers.cores_for(1)
    assert len(cores) == 1
    if hasattr(os, "sched_getaffinity"):
        assert set(cores) <= os.sched_getaffinity(0)
    assert bench.peers.environment(2)["OMP_NUM_THREADS"] == "2"
    assert bench.peers.environment(2)["GOMP_SPINCOUNT"] == "0"


def test_a_peer_whose_loss_differs_is_not_compared(bench: SimpleNamespace) -> None:
    measured = bench.steps.Measured(
        multiply_adds=1_000_000,
        peak=100.0,
        milliseconds={"lamina": [1.0, 1.0], "torch": [2.0, 4.0], "sklearn": [5.0, 5.0], "keras-jax": [9.0, 9.0]},
        losses={"lamina": [2.0, 1.0], "torch": [2.0, 1.0015], "sklearn": [2.0, 1.01], "keras-jax": [2.1, 1.0]},
        variants={"lamina": {}, "torch": {"layout": "channels_last"}, "sklearn": {}, "keras-jax": {}},
        missing={"torch-compile": "not installed"},
    )
    lines = bench.steps.report(measured).splitlines()
    (torch,) = (line for line in lines if line.startswith("| PyTorch eager"))
    assert "(layout channels_last) | 3 | 2 – 4 | 0.667 | 1% | 3.00 × | 2.00 – 4.00 |" in torch
    assert "The faster PyTorch, eager, takes 3.00 times as long as Lamina (2.00 – 4.00)." in lines
    for title in ("scikit-learn", "Keras on JAX"):
        (row,) = (line for line in lines if line.startswith(f"| {title}"))
        assert "not compared" in row
        assert "×" not in row
    assert lines[-1].endswith("torch.compile, fused Adam: not installed.")


def test_half_precision_may_differ_by_more(bench: SimpleNamespace) -> None:
    losses = {"lamina": [2.0, 1.0], "torch": [2.01, 0.97], "keras-jax": [2.1, 1.0], "jax": [float("nan"), 1.0]}
    agree = {"lamina": True, "torch": True, "keras-jax": False, "jax": False}
    assert bench.steps.agreeing(losses, "bf16") == agree
    assert bench.steps.agreeing(losses) == dict.fromkeys(losses, False) | {"lamina": True}


def test_the_published_ratio_is_that_of_the_faster_pytorch(bench: SimpleNamespace) -> None:
    times = {"lamina": [2.0, 2.0], "torch": [5.0, 7.0], "torch-fused": [3.0, 4.0], "torch-compile": [1.0, 1.0]}
    losses = {name: [2.0, 1.0 if name != "torch-compile" else 3.0] for name in times}
    measured = bench.steps.Measured(milliseconds=times, losses=losses)
    ratio = {"median": 1.75, "min": 1.5, "max": 2.0}
    assert bench.steps.fastest_pytorch(measured) == {"peer": "torch-fused", "ratio": ratio}
    del times["lamina"]
    assert bench.steps.fastest_pytorch(measured) == {}


def test_who_cannot_take_part_is_told_why(bench: SimpleNamespace) -> None:
    assert bench.steps.reason("sklearn", "mlp", "f32") == ""
    assert "dense" in bench.steps.reason("sklearn", "lstm", "f32")
    assert "bfloat16" in bench.steps.reason("sklearn", "mlp", "bf16")
    assert bench.steps.reason("torch", "lstm", "bf16") == ""


@pytest.mark.parametrize(
    ("network", "forward", "entering"),
    [
        ("mlp", 784 * 512 + 512 * 512 + 512 * 10, 784 * 512),
        ("lenet-small", 64 * 9 * 32 + 16 * 9 * 32 * 64 + 256 * 128 + 1280, 64 * 9 * 32),
        ("lstm", 100 * (28 + 128) * 512 + 1280, 100 * 28 * 512),
        ("gru", 100 * (28 + 128) * 384 + 1280, 100 * 28 * 384),
        ("characters", 64 * ((64 + 384) * 1536 + 384 * 65), 0),
        ("resnet18", 555_422_720, 1024 * 27 * 64),
    ],
)
def test_arithmetic_is_counted(bench: SimpleNamespace, network: str, forward: int, entering: int) -> None:
    described = bench.networks.NETWORKS[network]
    assert bench.lamina_trainer.multiply_adds(described) == described.batch_size * (3 * forward - entering)


def test_weights_go_by_the_paths_of_layers(bench: SimpleNamespace) -> None:
    for described in (*bench.networks.NETWORKS.values(), *bench.networks.IMAGENET.values()):
        weights = bench.data_and_weights.trained_weights(described, 0)
        network = bench.lamina_trainer.made(described.layers)
        entering = bench.lamina_trainer.entering(described)
        params, state = jax.eval_shape(lambda key: network.init(key, entering), jax.random.key(0))  # noqa: B023
        bench.lamina_trainer.placed(weights, params, state)
        placed = jax.tree.leaves((params, state))
        assert all(isinstance(leaf, jax.Array) for leaf in placed)
        assert len(placed) == sum(map(len, weights.values()))
        steps = described.input_shape if described.reads_symbols else ()
        assert network.out_spec(entering).shape == (*steps, described.classes)


ZOO = {
    "resnet18": "resnet18",
    "vgg11": "vgg11",
    "squeezenet1_0": "squeezenet1_0",
    "squeezenet": "squeezenet1_1",
    "mobilenet_v2": "mobilenet_v2",
}


def test_the_networks_for_large_pictures_are_the_zoos(bench: SimpleNamespace) -> None:
    assert set(bench.networks.IMAGENET) == set(ZOO)
    for name, described in bench.networks.IMAGENET.items():
        rows = []
        for network in (bench.lamina_trainer.made(described.layers), lm.zoo.build(ZOO[name], classes=1000)):
            params, _ = jax.eval_shape(lambda key: network.init(key, (224, 224, 3)), jax.random.key(0))  # noqa: B023
            rows.append(list(_layers(network, params)))
            found = lm.summary(network, (224, 224, 3)).rows
            rows[-1].append(sum(row.multiply_adds for row in found if not row.layer.startswith("AdaptiveAvgPool")))
        assert rows[0] == rows[1]
        assert bench.networks.NETWORKS[f"{name}-224"].layers is described.layers


def _layers(network: lm.Layer, params: Any) -> Iterator[Any]:
    """Kind and weights of each layer in order; without those that do nothing in evaluation."""
    for name, layer in network.parts():
        own = params.get(name, {})
        if any(layer.parts()):
            yield from _layers(layer, own)
        elif not isinstance(layer, lm.Dropout | lm.AdaptiveAvgPool):
            yield type(layer), {key: value.shape for key, value in own.items()}


def test_numbers_in_the_names_of_sections_count_as_numbers(bench: SimpleNamespace) -> None:
    names = ["steps-10-resnet18", "inference-vgg11", "steps-2-mlp", "steps-2-mlp-bf16", "steps-1-mlp-small"]
    ordered = ["steps-1-mlp-small", "steps-2-mlp", "steps-2-mlp-bf16", "steps-10-resnet18", "inference-vgg11"]
    assert sorted(names, key=bench.results._place) == ordered


@pytest.mark.parametrize("network", ["lenet-small", "lstm", "gru"])
def test_stock_jax_has_nothing_of_laminas(bench: SimpleNamespace, network: str) -> None:
    described = bench.networks.NETWORKS[network]
    trainer = bench.jax_trainer.JaxTrainer()
    trainer.build(described, seed=0, rate=1e-3)
    trainer.feed(*bench.data_and_weights.examples(described, 1, 0))
    with jax.numpy_dtype_promotion("standard"):  # as it is where it is measured
        text = trainer.lowered(np.zeros((2, described.batch_size), np.int32))
    assert "stablehlo.while" in text
    assert "lamina" not in text
    assert "custom_call" not in text


def test_pictures_a_second_are_reported(bench: SimpleNamespace) -> None:
    answered = bench.inference.Answered(
        batch=2,
        seconds={"infer:lamina": [0.5, 1.0], "infer:torch": [1.0, 1.0], "infer:onnx": [0.1, 0.1]},
        differences={"infer:lamina": 0.0, "infer:torch": 1e-5, "infer:onnx": 0.1},
        missing={"infer:torch-compile": "no compiler"},
    )
    lines = bench.inference.report([answered]).splitlines()
    assert "| Lamina | 3 | 2 – 4 |  |  | 0.0e+00 |" in lines
    assert "| PyTorch eager | 2 | 2 – 2 | 1.50 × | 1.00 – 2.00 | 1.0e-05 |" in lines
    assert "| ONNX Runtime | 20 | 20 – 20 | not compared | outputs differ | 1.0e-01 |" in lines
    assert "Not measured with batch 2: PyTorch torch.compile, frozen: no compiler." in lines


def test_a_folder_of_pictures_is_reported(bench: SimpleNamespace) -> None:
    def runs(seconds: list[float], cpu: float) -> list[dict[str, float]]:
        return [{"seconds": each, "cpu_seconds": cpu * each, "peak_bytes": 300 << 20} for each in seconds]

    raw = {
        "pictures": 264, "cores": 2, "workers": 1,
        "all": {"lamina": runs([10.0, 12.0], 1.8), "torch": runs([20.0, 18.0], 1.0)},
        "few": {"lamina": runs([5.0, 4.0], 1.0), "torch": runs([10.0, 10.0], 1.0)},
    }  # fmt: skip
    lines = bench.predict_folder.report(raw).splitlines()
    assert "| `lamina predict` | 24.2 | 22 – 26.4 | 32.5 | 4.5 | 90% | 300 |  |  |" in lines
    (torch,) = (line for line in lines if line.startswith("| PyTorch"))
    assert torch.endswith("1 workers | 13.9 | 13.2 – 14.7 | 22.5 | 10.0 | 50% | 300 | 1.75 × | 1.50 – 2.00 |")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux counts it")
def test_a_folder_of_pictures_is_predicted(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _see_lamina(monkeypatch)
    folder = bench.predict_folder.make(tmp_path / "pictures", 3)
    model = bench.predict_folder.save("squeezenet", tmp_path / "model.lamina")
    found = bench.predict_folder.run([*bench.commands.LAMINA, "predict", str(model), str(folder), "--json"], 3)
    assert found["cpu_seconds"] > 0
    assert found["peak_bytes"] > 50 << 20
    assert {read_header(path)[:2] for path in bench.predict_folder.files(folder)} == {(500, 375)}


def test_what_remat_saves_is_reported(bench: SimpleNamespace) -> None:
    measured = {"memory": {"kept": 200 << 20, "again": 50 << 20}, "seconds": {"kept": [1.0, 2.0], "again": [1.5, 2.5]}}
    lines = bench.remat.report({"resnet110": measured}).splitlines()
    assert "| resnet110, 32×32, batch 64 | 200 | 50 | 0.25 × | 1500 | 2000 | 1.38 × | 1.25 – 1.50 |" in lines
    for name, deep in bench.remat.NETWORKS.items():
        assert lm.zoo.architecture(name).input_shape == (deep.side, deep.side, 3)


def test_machines_are_reported(bench: SimpleNamespace) -> None:
    seconds = {"rbm:lamina": [1.0, 2.0, 1.0], "rbm:sklearn": [8.0, 9.0, 6.0]}
    scores = {"rbm:lamina": [-70.0, -71.0], "rbm:sklearn": [-71.25]}
    found = {10: {"rate": 0.01, "seconds": seconds, "pseudo_likelihood": scores, "missing": {}}}
    told = bench.rbm.report(found, 3, 500)
    assert "| Lamina, batch 10 | 1.00 | 1.00 – 2.00 |  | -70.50 | -70.00, -71.00 |" in told
    assert "| scikit-learn BernoulliRBM, batch 10 | 8.00 | 6.00 – 9.00 | 6.0 × (4.5 – 8.0) | -71.25 | -71.25 |" in told


def test_both_machines_learn_alike(bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.rbm, "HIDDEN", 16)
    random = np.random.default_rng(0)
    columns = np.eye(6)[random.integers(0, 6, 400)].repeat(4, axis=1).astype(np.float32)
    np.save(tmp_path / "x.npy", columns)
    with bench.peers.started(bench.rbm.TITLES, bench.peers.cores_for(2)) as (peers, missing):
        assert not missing
        found = bench.rbm.hold(peers, tmp_path, columns, 10, 0.05, 30)
    scores = found["pseudo_likelihood"]
    assert min(min(each) for each in scores.values()) > -8  # independent units: -10.8
    assert abs(np.mean(scores["rbm:lamina"]) - np.mean(scores["rbm:sklearn"])) < 2
    assert all(len(seconds) == 90 for seconds in found["seconds"].values())


def test_a_library_is_compared_with_itself(bench: SimpleNamespace) -> None:
    measured = bench.steps.Measured(
        milliseconds={
            "flax": [3.0, 4.0],
            "flax-installed": [2.0, 2.0],
            "equinox": [5.0, 5.0],
            "equinox-installed": [1.0] * 2,
        },
        losses={"flax": [2, 1.0], "flax-installed": [2, 1.001], "equinox": [2, 1.0], "equinox-installed": [2, 1.01]},
        compared_after=2,
        missing={"equinox": "no memory"},
    )
    lines = bench.installed.report(measured).splitlines()
    assert "| Flax | 3.5 | 3 – 4 | 1.75 × | 1.50 – 2.00 | 1.00000 |" in lines
    assert "| Flax with `install()` | 2 | 2 – 2 |  |  | 1.00100 |" in lines
    assert "| Equinox | 5 | 5 – 5 | not compared |  | 1.00000 |" in lines
    assert any(line.startswith("| Equinox with `install()` | 1 |") and "(differs)" in line for line in lines)
    assert lines[-1] == "Not measured: Equinox: no memory."


def test_what_runs_on_our_kernels_is_counted(bench: SimpleNamespace) -> None:
    program = "@lamina_conv_forward(%0) @lamina_conv_data(%1) stablehlo.convolution(%2)"
    assert "2 of the step's 3 convolutions" in bench.base.on_our_kernels("Flax", program)
    assert bench.base.on_our_kernels("Flax", "stablehlo.convolution(%2)") == ""


def test_runs_that_do_not_arrive_are_reported(bench: SimpleNamespace) -> None:
    there = {"seconds": 2.0, "seconds_in_all": 2.0, "accuracies": [0.5, 0.99]}
    short = {"seconds": None, "seconds_in_all": 9.0, "accuracies": [0.5, 0.6, 0.7]}
    runs = [{"peer": "lamina", "seed": 0, "cold": there, "warm": there}]
    runs += [{"peer": "lamina", "seed": 1, "cold": short, "warm": short}]
    row = bench.time_to_accuracy.report(bench.time_to_accuracy.RACES["digits"], runs, {}).splitlines()[2]
    assert row == "| Lamina | 2.00 | 2.00, – | 2.00 | 2.00, – | 2, 3 | 2.000 | 1 of 2 |"


def test_failed_seeds_are_reported(bench: SimpleNamespace) -> None:
    part = bench.accuracy.PARTS["adult"]
    good = {"test": {"accuracy": 0.86, "auc": 0.9}, "intervals": {"test": {"accuracy": [0.85, 0.87]}}}
    runs = [{"seed": 0, "wall_seconds": 10.0, "seconds": 7.0, **good}]
    runs += [{"seed": 1, "wall_seconds": 20.0, "error": {"message": "The training diverged."}}]
    text = bench.accuracy.report("adult", part, runs, [])
    assert "| Lamina | 86.00% | 86.00%, failed | 85.00% – 87.00% | 0.9000 | 0.9000, failed | 7.0 | 15.0 |" in text
    assert "Failed: seed 1: The training diverged." in text


def test_equal_rows_stay_on_one_side(bench: SimpleNamespace, tmp_path: Path) -> None:
    whole, train, test = (tmp_path / name for name in ("whole.csv", "train.csv", "test.csv"))
    whole.write_text("a,b\n" + "".join(f"{row % 40},x\n" for row in range(50)))
    bench.accuracy.hold_out(whole, train, test)
    kept, held_out = (path.read_text().splitlines() for path in (train, test))
    assert kept[0] == held_out[0] == "a,b"
    assert len(set(held_out[1:])) == 8
    assert not set(kept[1:]) & set(held_out[1:])
    assert sorted(kept[1:] + held_out[1:]) == sorted(whole.read_text().splitlines()[1:])


def test_tables_are_read_alike_for_training_and_test(bench: SimpleNamespace, tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text(
        "n,c,y\n" + "".join(f"{i if i else ''},{'ab'[i % 2]},{'no' if i % 2 else 'yes'}\n" for i in range(40))
    )
    test.write_text("n,c,y\n3,b,no\n4,new,yes\n")
    table = bench.sklearn_tables.read(train, test, "y")
    assert table.classify
    assert table.numbers[0][0, 0] == 20.0  # the median
    assert table.categories[1].tolist() == [["b"], ["new"]]
    for model in bench.sklearn_tables.MODELS:
        found = bench.sklearn_tables.measure(table, model, seed=0, iterations=3)
        assert 0 <= found["test"]["accuracy"] <= 1
        assert found["iterations"] <= 3


def test_the_order_of_examples_is_laminas(bench: SimpleNamespace) -> None:
    feed = Feed(ArraySplit(np.zeros((70, 3), np.float32), np.zeros(70, np.int32)), batch_size=16, seed=5)
    np.testing.assert_array_equal(bench.data_and_weights.epoch_order(70, 16, seed=5, epoch=3), feed.order(3))


def test_the_loss_that_is_compared_is_cross_entropy(bench: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    logits, labels = 30 * rng.standard_normal((20, 5)).astype(np.float32), rng.integers(5, size=20)
    expected = optax.losses.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), jnp.asarray(labels)).mean()
    assert bench.data_and_weights.cross_entropy(logits, labels) == pytest.approx(float(expected), rel=1e-5)


def test_an_auto_encoders_loss_is_the_squared_error_by_its_inputs(bench: SimpleNamespace) -> None:
    described = bench.networks.NETWORKS["autoencoder"]
    assert described.reconstructs
    x, y = bench.data_and_weights.examples(described, 1, 0)
    outputs = x + 0.5
    assert bench.data_and_weights.loss(described, outputs, x, y) == pytest.approx(0.25, rel=1e-4)
    ours, theirs = bench.lamina_trainer.LaminaTrainer(), bench.jax_trainer.JaxTrainer()
    rows = np.arange(described.batch_size, dtype=np.int32)[None].repeat(2, axis=0)
    found = []
    for trainer in (ours, theirs):
        trainer.build(described, 0, 1e-3)
        trainer.feed(x, y)
        with jax.numpy_dtype_promotion("standard"):
            trainer.train(rows)
        found.append(bench.data_and_weights.loss(described, trainer.logits(x), x, y))
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def _have(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


@pytest.mark.slow
def test_the_peers_compute_the_same(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    _see_lamina(monkeypatch)
    names = ["lamina", *(["torch", "torch-fused"] if _have("torch") else []), "sklearn"]
    with bench.peers.started(names, bench.peers.cores_for(2)) as (peers, missing):
        measured = bench.steps.measure(peers, "mlp-small", rounds=1, steps=3)
    assert not missing
    assert not measured.missing
    assert bench.steps.agreeing(measured.losses) == dict.fromkeys(names, True)
    first, last = measured.losses["lamina"]
    assert last < 0.99 * first
    assert all(len(values) == 1 and values[0] > 0 for values in measured.milliseconds.values())


@pytest.fixture(scope="module")
def everyone(bench: SimpleNamespace) -> Iterator[list[Any]]:
    """A process of each peer that is installed."""
    names = ["lamina", "jax", *(["torch-fused"] if _have("torch") else []), *(["keras-jax"] if _have("keras") else [])]
    names += ["keras-tensorflow"] if _have("keras", "tensorflow") else []
    with pytest.MonkeyPatch.context() as patch:
        _see_lamina(patch)
        with bench.peers.started(names, bench.peers.cores_for(2)) as (peers, missing):
            assert not missing
            yield peers


def _has_avx512() -> bool:
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "avx512f" in facts.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["f32", "bf16"])
@pytest.mark.parametrize("network", ["lenet-small", "lstm", "gru"])
def test_every_peer_learns_the_same(bench: SimpleNamespace, everyone: list[Any], network: str, precision: str) -> None:
    sizes = {"batches": 2, "batch_size": 4, "steps": 1}
    measured = bench.steps.measure(everyone, network, rounds=1, precision=precision, **sizes)
    # PyTorch computes no LSTM in bfloat16 on a CPU without AVX-512.
    lacking = {"torch-fused"} if (network, precision) == ("lstm", "bf16") and not _has_avx512() else set()
    assert set(measured.missing) <= lacking
    agree = bench.steps.agreeing(measured.losses, precision)
    assert agree == {peer.name: True for peer in everyone if peer.name not in measured.missing}, measured.losses
    first, last = measured.losses["lamina"]
    assert last < first


# Compiling their training takes minutes; the benchmark itself compares the losses after it.
@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet18", "mobilenet"])
def test_every_peer_builds_the_deep_networks(bench: SimpleNamespace, everyone: list[Any], network: str) -> None:
    losses = [peer.ask("first_loss", network=network, batch_size=4)["loss"] for peer in everyone]
    np.testing.assert_allclose(losses, losses[0], rtol=bench.steps.AGREEMENT["f32"][0])


@pytest.mark.slow
@pytest.mark.skipif(native.native().library is None, reason=native.native().reason)
def test_flax_and_equinox_learn_the_same_on_our_kernels(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _see_lamina(monkeypatch)
    names = ["lamina", "flax", "flax-installed", "equinox", "equinox-installed"]
    with bench.peers.started(names, bench.peers.cores_for(2)) as (peers, missing):
        measured = bench.steps.measure(peers, "lenet-small", rounds=1, steps=1, batches=2, batch_size=4)
    assert not missing
    assert not measured.missing
    assert bench.steps.agreeing(measured.losses) == dict.fromkeys(names, True), measured.losses
    remarks = " ".join(measured.remarks)
    assert all(f"{name} with `install()`: 5 of the step's 5" in remarks for name in ("Flax", "Equinox"))


@pytest.mark.slow
def test_all_answer_alike(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    _see_lamina(monkeypatch)
    names = ["infer:lamina", *(["infer:torch"] if _have("torch") else [])]
    names += ["infer:onnx"] if _have("torch", "onnx", "onnxruntime") else []
    with bench.peers.started(names, bench.peers.cores_for(2)) as (peers, missing):
        found = [
            bench.inference.measure(peers, network, 1, rounds=1, seconds=0.01) for network in bench.networks.IMAGENET
        ]
    assert not missing
    for answered in found:
        assert not answered.missing
        assert max(answered.differences.values()) <= bench.inference.AGREEMENT
        assert all(len(values) == 1 and values[0] > 0 for values in answered.seconds.values())


@pytest.mark.slow
def test_a_quick_run_publishes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _see_lamina(monkeypatch)
    peers = "lamina,torch" if _have("torch") else "lamina"
    arguments = ["mlp-small", "--quick", "--peers", peers, "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "steps.py"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    raw = json.loads((tmp_path / "results" / "steps-1-mlp-small.json").read_text())
    assert set(raw["milliseconds"]) == set(peers.split(","))
    assert f"--peers {peers} --results RESULTS" in (tmp_path / "RESULTS.md").read_text()


@pytest.mark.slow
def test_a_race_ends_at_the_mark(bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _see_lamina(monkeypatch)
    bench.time_to_accuracy.write_arrays("digits", tmp_path / "data.npz", limit=320)
    names = ["lamina", *(["torch"] if _have("torch") else [])]
    race = {"network": "lenet-small", "data": str(tmp_path / "data.npz"), "seed": 1, "rate": 1e-3}
    with bench.peers.started(names, bench.peers.cores_for(2)) as (peers, missing):
        answers = [peer.ask("race", **race, target=0.7, epochs=8) for peer in peers]
    assert not missing
    for answer in answers:
        for start in ("cold", "warm"):
            assert answer[start]["accuracies"][-1] >= 0.7
            assert all(accuracy < 0.7 for accuracy in answer[start]["accuracies"][:-1])
            assert answer[start]["seconds"] == answer[start]["seconds_in_all"] > 0
            np.testing.assert_allclose(answer[start]["accuracies"], answers[0]["cold"]["accuracies"], atol=0.02)


def _see_lamina(patch: pytest.MonkeyPatch) -> None:
    """Let processes that are started find this very Lamina."""
    import lamina

    module: ModuleType = lamina
    assert module.__file__ is not None
    root = str(Path(module.__file__).parents[1])
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])))


def test_warped_distances_are_those_of_the_definition(bench: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 9)), rng.standard_normal((3, 9))

    def distance(x: np.ndarray, y: np.ndarray, band: int) -> float:
        least = {(-1, -1): 0.0}
        for i in range(9):
            for j in range(max(0, i - band), min(9, i + band + 1)):
                before = min(least.get(pair, np.inf) for pair in ((i - 1, j), (i, j - 1), (i - 1, j - 1)))
                least[i, j] = (x[i] - y[j]) ** 2 + before
        return least[8, 8]

    for share, band in ((0.0, 0), (0.2, 2), (1.0, 9)):
        wanted = [[distance(x, y, band) for y in b] for x in a]
        np.testing.assert_allclose(bench.series.warped(a, b, share), wanted)


def test_the_report_on_series_shows_baselines_and_failures(bench: SimpleNamespace) -> None:
    errors = [{"baseline": f"{name} x", "validation": 3.0, "test": 2.0} for name in ("last", "season", "ridge")]
    good = {"seed": 0, "wall_seconds": 2.0, "test": {"mae": 1.25}, "baselines": errors}
    bad = {"seed": 1, "wall_seconds": 2.0, "error": {"message": "It failed."}}
    told = bench.series.forecasts({"sunspots-1": {"lamina": [good, bad], "neighbours": {}}})
    assert "| Monthly sunspots, 1 step ahead | 1.250 | 1.250, nan | 2.000 | 2.000 | 2.000 | 2.0 |" in told
    assert "sunspots-1, seed 1: It failed." in told
    right = {"seed": 0, "wall_seconds": 2.0, "test": {"accuracy": 0.5}, "examples": {"train": 45, "validation": 5}}
    told = bench.series.classes({"gunpoint": {"lamina": [right], "neighbours": {"euclidean": 0.25}}})
    assert "| GunPoint (UCR) | 50.00% | 50.00% |  | 25.00% |  | 45 (+ 5) | 2.0 |" in told
