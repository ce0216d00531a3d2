from __future__ import annotations

import ast
import importlib.util
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import lamina as lm
from lamina.losses import BinaryCrossEntropy, SoftmaxCrossEntropy

EXAMPLES = Path(__file__).parents[1] / "examples"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{Path(name).stem}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # where dataclasses look for their module
    spec.loader.exec_module(loaded)
    return loaded


def run(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the example prints when it is started as a program."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_every_example_is_run_here_and_listed() -> None:
    names = {path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in EXAMPLES.rglob("*.py")}
    tested = Path(__file__).read_text()
    readme = (EXAMPLES / "README.md").read_text()
    for name in names:
        assert f'"{name}"' in tested, name
        assert f"({name}.py)" in readme, name


def test_the_perceptron_stops_making_mistakes_and_follows_rosenblatts_rule(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run("perceptron", capsys)
    mistakes = [int(number) for number in printed.splitlines()[0].split(":")[1].split(",")]
    assert mistakes[0] > 10
    assert mistakes[-1] == 0
    assert "Rosenblatt's rule: True" in printed


def test_a_neuron_learns_what_a_line_can_part(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("from_scratch/neuron", capsys).splitlines()
    assert [line.split(",")[1].strip() for line in lines[:3]] == ["4 of 4 right", "4 of 4 right", "2 of 4 right"]


@pytest.mark.parametrize("name", ["from_scratch/network", "from_scratch/rnn"])
def test_networks_from_scratch_learn(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = run(name, capsys).splitlines()[-1]
    assert last.endswith("right 100.0%")


def gradient(network: lm.Layer, params: Any, loss: lm.losses.Loss, x: np.ndarray, y: np.ndarray) -> Any:
    return jax.jit(jax.grad(lambda p: loss(network.apply(p, {}, jnp.asarray(x))[0], jnp.asarray(y))))(params)


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert np.any(value != 0), name
        np.testing.assert_allclose(theirs[name], value, rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_neurons_gradient_is_laminas(x64: None) -> None:
    neuron, random = module("from_scratch/neuron"), np.random.default_rng(0)
    x, y = random.normal(size=(9, 3)), random.integers(0, 2, 9)
    weights, bias = random.normal(size=3), 0.3
    by_weights, by_bias = neuron.gradients(neuron.forward(weights, bias, x), x, y)
    params = {"kernel": jnp.asarray(weights[:, None]), "bias": jnp.asarray([bias])}
    found = gradient(lm.Dense(1), params, BinaryCrossEntropy(), x, y)
    compare({"w": found["kernel"][:, 0], "b": found["bias"]}, {"w": by_weights, "b": [by_bias]})


def test_a_networks_gradients_are_laminas(x64: None) -> None:
    scratch, random = module("from_scratch/network"), np.random.default_rng(0)
    x, y = random.normal(size=(12, 5)), random.integers(0, 3, 12)
    params = {
        name: value + 0.1 * random.normal(size=value.shape) for name, value in scratch.init(random, 5, 7, 3).items()
    }
    network = lm.Sequential(lm.Dense(7), lm.relu, lm.Dense(3))
    own = {"0": {"kernel": params["W1"], "bias": params["b1"]}, "2": {"kernel": params["W2"], "bias": params["b2"]}}
    found = gradient(network, jax.tree.map(jnp.asarray, own), SoftmaxCrossEntropy(), x, y)
    ours = {"W1": found["0"]["kernel"], "b1": found["0"]["bias"], "W2": found["2"]["kernel"], "b2": found["2"]["bias"]}
    compare(ours, scratch.backward(params, x, y))


def test_a_recurrent_networks_gradients_are_laminas(x64: None) -> None:
    """The recurrence as a scan over one Dense layer on (x_t, h_(t-1)), the answer from another on the last state."""
    scratch, random = module("from_scratch/rnn"), np.random.default_rng(0)
    x, y = random.normal(size=(6, 8, 4)), random.integers(0, 3, 6)
    params = {
        name: value + 0.1 * random.normal(size=value.shape) for name, value in scratch.init(random, 4, 5, 3).items()
    }
    cell, answer = lm.Sequential(lm.Dense(5), lm.tanh), lm.Dense(3)

    def loss(params: Any) -> jax.Array:
        inner = {"0": {"kernel": jnp.concatenate([params["Wx"], params["Wh"]]), "bias": params["b"]}}

        def step(state: jax.Array, x_t: jax.Array) -> tuple[jax.Array, None]:
            return cell.apply(inner, {}, jnp.concatenate([x_t, state], axis=1))[0], None

        last, _ = lax.scan(step, jnp.zeros((6, 5)), jnp.asarray(x).swapaxes(0, 1))
        logits, _ = answer.apply({"kernel": params["V"], "bias": params["c"]}, {}, last)
        return SoftmaxCrossEntropy()(logits, jnp.asarray(y))

    compare(jax.jit(jax.grad(loss))(jax.tree.map(jnp.asarray, params)), scratch.backward(params, x, y))


@pytest.mark.parametrize("name", ["feedforward", "convnet"])
def test_short_networks_learn_digits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(name, capsys)
    assert float(printed.split()[-1].rstrip("%")) >= 96
    source = (EXAMPLES / f"{name}.py").read_text()
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring is not None
    code = [line for line in source.splitlines() if line.strip() and docstring not in line]
    assert len(code) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", ["feedforward_keras", "convnet_keras"])
def test_the_same_networks_in_keras(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "jax"))
    printed = run(name, capsys)
    assert float(printed.split()[-1].rstrip("%")) >= 93


@pytest.mark.slow
def test_the_adding_problem_is_learned_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "adding.png"
    adding = module("adding_problem")
    errors = adding.main(steps=30, examples=3000, epochs=8, seeds=1, path=str(picture))
    assert errors["LSTM"][0] < 0.002
    assert errors["GRU"][0] < 0.002
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_dense_network_fails_on_shifted_digits_and_a_convolutional_one_does_not() -> None:
    table = module("shifted_digits").main()
    assert min(table["dense"][0], table["convolutional"][0]) > 0.93
    assert max(table["dense"][2:]) < 0.5
    assert min(table["convolutional"]) > 0.9


@pytest.mark.slow
def test_pre_trained_sigmoid_networks_learn_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    errors = module("dbn_mnist").main(["--quick", "--out", str(tmp_path)])
    assert (tmp_path / "filters.png").is_file()
    assert set(errors) == {"pre-trained", "random", "today's"}
    assert max(errors.values()) < 0.08
    assert "pre-training:" in capsys.readouterr().out


@pytest.mark.slow
def test_the_science_auto_encoder_is_better_than_pca_and_every_start_is_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = module("autoencoder_mnist")
    found = example.main(["--quick", "--out", str(tmp_path)])
    assert list(found["starts"]) == ["RBM pre-trained", "uniform", "Gaussian", "Xavier", "He"]
    assert found["methods"]["network"] < found["methods"]["PCA"]
    assert found["starts"]["RBM pre-trained"] < found["starts"]["Xavier"] < found["starts"]["uniform"]
    assert (tmp_path / "comparison.html").is_file()
    assert (tmp_path / "two" / "codes.svg").is_file()
    assert "In all" in capsys.readouterr().out


@pytest.mark.slow
def test_gradients_shrink_with_the_uniform_heuristic_and_keep_their_size_with_xaviers(tmp_path: Path) -> None:
    found = module("initialisation").main(["--quick", "--out", str(tmp_path)])
    for act in ("tanh", "softsign"):
        ratios = {start: found[act, start].gradients[0] / found[act, start].gradients[-1] for start in
                  ("uniform heuristic", "Xavier")}  # fmt: skip
        assert ratios["uniform heuristic"] < 0.2
        assert 0.2 < ratios["Xavier"] < 5
        assert ratios["uniform heuristic"] < ratios["Xavier"] / 2
    assert (tmp_path / "spread.svg").is_file()


@pytest.mark.slow
def test_dropout_is_measured_with_and_without_max_norm() -> None:
    errors = module("dropout_mnist").main(["--quick"])
    assert list(errors) == ["without dropout", "dropout", "dropout and max-norm"]
    assert max(errors.values()) < 0.25


@pytest.mark.slow
def test_clips_tell_the_way_a_digit_moves_and_single_frames_do_not(tmp_path: Path) -> None:
    accuracies = module("moving_digits").main(out=tmp_path, quick=True)
    assert accuracies["clip"] > 0.9
    assert accuracies["one frame"] < 0.5
    assert len(list(tmp_path.glob("train/*/*.gif"))) == 240
