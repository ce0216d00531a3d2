from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

import lamina as lm
from lamina.data.base import Data
from lamina.train import Callback
from lamina.train.progress import LiveProgress, PlainProgress, clock, progress_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (4.24, "4.2 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (185, "3:05"),
        (3599.7, "1:00:00"),
        (3723, "1:02:03"),
        (90_000, "25:00:00"),
    ],
)
def test_the_clock_reads_as_a_person_does(seconds: float | None, words: str) -> None:
    assert clock(seconds) == words


def test_the_display_suits_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress_for(False) == []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert [type(hook) for hook in progress_for(True)] == [PlainProgress]
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert [type(hook) for hook in progress_for(True)] == [LiveProgress]


def test_plain_lines_tell_of_the_epochs_on_stderr_alone(blobs: Data, capsys: pytest.CaptureFixture[str]) -> None:
    run = lm.fit(lm.Dense(3), blobs, epochs=60)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0].startswith("epoch 1/60  loss ")
    assert lines[-1].startswith("epoch 60/60  loss ")
    assert len(lines) < 60  # not more than two a second
    row = run.history[-1]
    words = f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  val_loss {row['val_loss']:.4f}"
    assert words in lines[-1]
    assert re.search(r"\d/s  left \d", lines[-1])


def test_nothing_is_said_when_unwanted(blobs: Data, capsys: pytest.CaptureFixture[str]) -> None:
    lm.fit(lm.Dense(3), blobs, epochs=1, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_the_running_numbers(blobs: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    run = lm.fit(lm.Dense(3), blobs, epochs=3)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "epoch 3/3" in text
    assert "val_accuracy" in text
    assert "left" in text
    assert text.splitlines()[-1].startswith(f"epoch 3/3  loss {run.history[-1]['loss']:.4f}")


def test_the_bar_is_taken_down_when_the_run_fails(blobs: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    class Fail(Callback):
        def on_chunk(self, training: Any) -> None:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        lm.fit(lm.Dense(3), blobs, epochs=3, callbacks=[Fail()])
    assert screen.getvalue().count("\x1b[?25h") == 1  # the cursor is shown again
