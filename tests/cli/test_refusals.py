"""Bad input: exit code 2, one clear sentence, a JSON object for scripts, and nothing written."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from .conftest import Command, Home, write_pictures

Prepare = Callable[[Path], object]


def files(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, links followed."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(lamina: Command, desk: Path, arguments: str, words: str) -> None:
    before = files(desk)
    done = lamina(*arguments.split(), "--json")
    assert done.code == 2, done.err
    error = done.json["error"]
    assert set(error) == {"kind", "message", "hint"}
    assert re.search(words, f"{error['message']} {error['hint']}"), error
    assert f"error: {error['message']}" in done.err
    assert "Traceback" not in done.err
    assert files(desk) == before


def text(name: str, content: str) -> Prepare:
    return lambda desk: (desk / name).write_text(content)


def arrays(**parts: object) -> Prepare:
    return lambda desk: np.savez(desk / "bad.npz", **parts)  # type: ignore[arg-type]


def unreadable(desk: Path) -> None:
    for index, path in enumerate(sorted((write_pictures(desk / "bad", 6)).rglob("*.png"))):
        if index % 3:
            path.write_bytes(b"?")


X = np.random.default_rng(0).normal(size=(30, 2))
NAN = np.where(np.arange(60).reshape(30, 2) == 7, np.nan, X)
ROWS = "".join(f"{i % 7},{i % 5},a,\n" for i in range(40))

DATA: dict[str, tuple[Prepare, str, str]] = {
    "no such path": (lambda desk: None, "nowhere", "There is no nowhere"),
    "no such set": (lambda desk: None, "digit", "Did you mean 'digits'"),
    "empty folder": (lambda desk: (desk / "bad").mkdir(), "bad", "bad"),
    "one class": (lambda desk: write_pictures(desk / "bad", 4, ("cat",)), "bad", "one class only, 'cat'"),
    "a class of one": (
        lambda desk: (write_pictures(desk / "bad", 4), write_pictures(desk / "bad", 1, ("odd",))),
        "bad",
        "'odd' .* has one picture",
    ),
    "mostly unreadable": (unreadable, "bad", "8 of the 12 pictures in bad cannot be read"),
    "no target named": (text("bad.csv", "p,q\n1.5,2.5\n2.5,1.5\n"), "bad.csv", "Which column"),
    "no such target": (text("bad.csv", f"p,price,r,s\n{ROWS}"), "bad.csv --target prise", "prise.*'price'"),
    "constant target": (text("bad.csv", f"p,q,r,s\n{ROWS}"), "bad.csv --target r", "one class only"),
    "missing target": (text("bad.csv", f"p,q,r,s\n{ROWS}"), "bad.csv --target s", "'s'"),
    "several targets": (text("bad.csv", f"p,q,r,s\n{ROWS}"), "bad.csv --target p --target q", "Several target columns"),
    "not a number": (arrays(x=NAN, y=np.arange(30) % 2), "bad.npz", "has 1 NaN or infinite"),
    "infinite values": (arrays(x=X, y=np.full(30, np.inf)), "bad.npz", "30 NaN or infinite"),
    "unequal lengths": (arrays(x=X, y=np.arange(29)), "bad.npz", "30|29"),
    "no data file": (text("bad.doc", "hello"), "bad.doc", "no data that Lamina can learn from"),
    "target of pictures": (lambda desk: None, "pictures --target a", "A target column is for tables"),
    "test part of pictures": (lambda desk: None, "pictures --test pictures", "A separate test part is for tables"),
    "impossible task": (lambda desk: None, "pictures --task regress", "not possible with these pictures"),
}


@pytest.mark.parametrize("case", DATA)
def test_data(lamina: Command, desk: Path, case: str) -> None:
    prepare, arguments, words = DATA[case]
    prepare(desk)
    refused(lamina, desk, f"train {arguments}", words)


OPTIONS = {
    "--arch convnte": "Unknown architecture 'convnte'.*'convnet'",
    "--arch nett.py": "There is no file nett.py.*'net.py'",
    "--optimizer adamm": "Unknown optimiser 'adamm'.*'adam'",
    "--loss hubre": "Unknown loss 'hubre'.*'huber'",
    "--schedule cosin": "Unknown schedule 'cosin'.*'cosine'",
    "--scale standart": "'standart' for --scale.*'standard'",
    "--task clasify": "'clasify' for --task.*'classify'",
    "--precision f16": "'f16' for --precision.*'bf16'",
    "--device cup": "'cup' for --device.*'cpu'",
    "--device tpu": "There is no tpu here",
    "--lr 0": "A learning rate is a number above 0. Received: --lr 0",
    "--lr 0.1,fast": "A learning rate is a number above 0",
    "--lr 0.1,0.1": "given twice",
    "--lr nan": "A learning rate is a number above 0",
    "--time soon": "A time is written like",
    "--size big": "A size is written like",
    "--size 0": "1 to 4096 pixels",
    "--batch-size 0": "A batch size is a whole number",
    "--batch-size half": "A batch size is a whole number",
    "--epochs 0": "--epochs",
    "--epochs many": "--epochs",
    "--patience 0": "--patience",
    "--seed -1": "--seed",
    "--epoch 3": "--epochs",
    "--frobnicate": "No such option",
    "--resume": "There is no run of pictures in runs/",
    "--force": "--force replaces the run that --out names",
    "--force --resume --out here": "Give one of them",
    "--from nowhere": "There is no nowhere to begin with.*efficientnet_lite0",
    "--from resnet18": "There are no weights to install for resnet18",
    "--from w.pth": "not what network they are of.*--arch",
    "--from w.pth --arch resnet18": "There is no file w.pth",
    "--from net.lamina": "There is no net.lamina",
    "--from auto --arch convnet": "names the network of a file of weights",
    "--from auto --scale none": "--scale has no place beside --from",
    "--head kn": "'kn' for --head.*'knn'",
    "--head svm --epochs 3": "--epochs has no place beside --head",
    "--layer 1": "--layer names the layer.*Give --head too",
    "--out net.py": "net.py is a file",
    "--out pictures": "pictures exists already",
    "--out pictures --force": "does not hold a run",
    "--out pictures --resume": "There is no run to resume",
    "--out /proc/lamina": "cannot be written|cannot be made",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_train(lamina: Command, desk: Path, options: str) -> None:
    refused(lamina, desk, f"train pictures {options}", OPTIONS[options])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("network = (", "bad.py, line 1: "),
        ("x = 1\nnetwork = undefined", "bad.py, line 2: NameError: name 'undefined'"),
        ("net = 1", "defines no 'network'.*It defines net"),
        ("network = 3", "Expected a layer or a function, got 3"),
        ("import lamina as lm\nnetwork = lm.Dense", "Dense is a class"),
        ("def network(data):\n    return data.nothing", "bad.py, line 2: AttributeError"),
        ("raise SystemExit(3)", "bad.py, line 1: SystemExit"),
        ("import lamina as lm\nnetwork = lm.Dense(-2)", "bad.py, line 2: .*-2"),
        (
            "import lamina as lm\nnetwork = lm.Sequential(lm.Dense(2), lm.Conv(4, 9, padding='VALID'))",
            r"layer '1 \(Conv\)'",
        ),
        ("import lamina as lm\nnetwork = lm.Sequential(lm.Flatten(), lm.Dense(5))", r"\(5,\), but the data has 2"),
        ("import lamina as lm\nnetwork = lm.Sequential(lm.Flatten(), lm.Dense(2), lambda x: x)", "cannot be written"),
    ],
)
def test_networks_of_the_users(lamina: Command, desk: Path, content: str, words: str) -> None:
    (desk / "bad.py").write_text(content)
    refused(lamina, desk, "train pictures --arch bad.py", words)


@pytest.mark.parametrize(
    "content", ["{", "[]", "3", '{"type": "Dens"}', '{"type": "Dense"}', '{"type": "Adam"}', "null"]
)
def test_networks_in_json(lamina: Command, desk: Path, content: str) -> None:
    (desk / "bad.json").write_text(content)
    refused(lamina, desk, "train pictures --arch bad.json", "bad.json")


def test_a_batch_that_does_not_fit(lamina: Command, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000, total=1000))
    refused(lamina, desk, "train values.npz --arch linear --epochs 1", r"A batch of \d+ needs about")


@pytest.fixture
def model(desk: Path, home: Home) -> Path:
    path = desk / "model.lamina"
    path.write_bytes((home.model / "model.lamina").read_bytes())
    return path


def changed(path: Path, entry: str, **fields: object) -> None:
    """Rewrite a model file with other fields in one of its JSON entries."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[entry] = json.dumps({**json.loads(contents[entry]), **fields}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("command", ["predict", "evaluate", "summary"])
@pytest.mark.parametrize("damage", ["cut short", "newer", "no model", "missing", "a folder"])
def test_models(lamina: Command, desk: Path, model: Path, damage: str, command: str) -> None:
    data = "" if command == "summary" else "pictures"
    named = {"missing": "modle.lamina", "a folder": "pictures"}.get(damage, "model.lamina")
    if damage == "cut short":
        model.write_bytes(model.read_bytes()[:-300])
    elif damage == "newer":
        changed(model, "network.json", format=99)
    elif damage == "no model":
        model.write_text("hello")
    words = {
        "cut short": "not a whole Lamina model",
        "newer": "newer Lamina .format 99.*pip install",
        "no model": "not a whole Lamina model",
        "missing": "There is no modle.lamina.*'model.lamina'",
        "a folder": "There is no model in pictures",
    }[damage]
    if command == "summary":  # it prints for people alone
        done = lamina("summary", named)
        assert (done.code, done.out) == (2, "")
        assert re.search(words, done.err.replace("\n", " "))
    else:
        refused(lamina, desk, f"{command} {named} {data}", words)


PREDICTIONS = {
    "": "INPUT",
    "nowhere.png": "There is no nowhere.png",
    "net.py": "There is nothing to predict: net.py: it is not a picture",
    "pictures --contains drak": "knows no class 'drak'.*'dark'",
    "pictures --top 0": "--top",
    "pictures --batch-size 0": "--batch-size",
    "pictures --out answers.txt": "written as .csv or .parquet",
    "pictures --out there.csv": "there.csv exists already.*--force",
    "pictures --out no/where.csv": "there is no folder no",
    "pictures --out folder.csv": "folder.csv is a folder",
    "pictures --out /proc/x.csv": "/proc/x.csv cannot be written",
}


@pytest.mark.parametrize("arguments", PREDICTIONS)
def test_predictions(lamina: Command, desk: Path, model: Path, arguments: str) -> None:
    (desk / "there.csv").touch()
    (desk / "folder.csv").mkdir()
    refused(lamina, desk, f"predict model.lamina {arguments}", PREDICTIONS[arguments])


def test_values_have_no_classes(lamina: Command, desk: Path, home: Home) -> None:
    refused(lamina, desk, f"predict {home.values} x.npy --contains 1", "predicts values, not classes")


def test_columns_at_prediction(lamina: Command, desk: Path) -> None:
    rows = "".join(f"{i % 7 / 3},{i % 5},{i % 7 + i % 5}.5\n" for i in range(60))
    (desk / "table.csv").write_text(f"width,height,area\n{rows}")
    assert (
        lamina(
            *["train", "table.csv", "--target", "area", "--arch", "linear", "--epochs", "1", "--out", "run", "-q"]
        ).code
        == 0
    )
    (desk / "new.csv").write_text("width,height\n1.0,2\n")
    assert lamina("predict", "run", "new.csv").code == 0
    (desk / "missing.csv").write_text("wdith\n1.0\n")
    refused(lamina, desk, "predict run missing.csv", "missing.csv lacks the columns")
    (desk / "extra.csv").write_text("width,height,depth\n1.0,2,3\n")
    refused(lamina, desk, "predict run extra.csv", "'depth'")


def test_usage(lamina: Command) -> None:
    for arguments, words in ((["trian"], "Did you mean 'train'"), (["train"], "Missing argument 'DATA'")):
        done = lamina(*arguments)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
    assert lamina("--version").out.startswith("lamina ")
    assert "Commands" in lamina().out or "From data to answers" in lamina().out
