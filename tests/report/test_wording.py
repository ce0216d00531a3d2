"""Numbers as people read them."""

from __future__ import annotations

import pytest

from lamina.report import wording


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9832, "98.3 %"), (1.0, "100.0 %"), (0.99999, "99.9 %"), (0.00001, "< 0.1 %"), (0.0, "0.0 %"), (None, "–")],
)
def test_percent_never_rounds_to_perfection(value: float | None, shown: str) -> None:
    assert plain(wording.percent(value)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.012, "12 ms"), (4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert plain(wording.duration(seconds)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (1234.5, "1 234"), (-10574.2, "−10 574"), (0.0123456, "0.01235"), (3.4e8, "3.4e+08")]
)
def test_amounts(value: float, shown: str) -> None:
    assert plain(wording.amount(value)) == shown


def test_metrics_have_their_own_units() -> None:
    assert plain(wording.metric_value("accuracy", 0.5)) == "50.0 %"
    assert wording.metric_value("auc", 0.91234) == "0.912"
    assert wording.metric_value("log_loss", None) == "undefined"
    assert plain(wording.interval("accuracy", (0.5, 0.4, 0.6))) == "40.0 to 60.0 %"
    assert wording.metric_label("top5") == "Right class among the top 5"


def test_long_names_keep_both_ends() -> None:
    shown = wording.shorten("a" * 20 + "z" * 20, 11)
    assert len(shown) == 11
    assert shown.startswith("aaaaa")
    assert shown.endswith("zzzzz")
    assert wording.shorten("short", 11) == "short"
