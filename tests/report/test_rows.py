"""Rows of a table, read back from what the network gets."""

from __future__ import annotations

import numpy as np
import polars as pl

from lamina.data import load
from lamina.report.rows import read_rows


def test_rows_are_shown_as_they_were_in_the_table() -> None:
    rng = np.random.default_rng(0)
    count = 200
    frame = pl.DataFrame(
        {
            "weight": np.round(rng.uniform(40, 90, count), 2),
            "breed": rng.choice(["collie", "poodle", "husky"], count),
            "age": [None if i % 10 == 0 else i % 17 for i in range(count)],
            "born": pl.Series([f"20{i % 20:02d}-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(count)]),
            "income": rng.integers(0, 900_000, count),
            "price": rng.uniform(1, 2, count),
        }
    )
    data = load(frame, target="price")
    found = read_rows(data.train, data.preprocessing, np.arange(len(data.train)))
    assert found is not None
    names, rows = found
    assert names[:3] == ["weight", "breed", "age"]
    assert names[-1] == "income"
    for name, row in zip(data.train.names, rows, strict=True):
        true = frame.row(int(name.split()[-1]) - 1, named=True)
        shown = dict(zip(names, row, strict=True))
        assert float(shown["weight"]) == true["weight"]
        assert shown["breed"] == true["breed"]
        assert shown["age"] == ("missing" if true["age"] is None else str(true["age"]))
        assert shown["income"] == str(true["income"])
        assert shown["born.days"] == true["born"]


def test_other_data_has_no_rows(make_run) -> None:
    run = make_run(pictures=False)
    assert read_rows(run.data.train, run.model.preprocessing, np.arange(3)) is None
