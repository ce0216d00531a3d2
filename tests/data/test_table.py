"""Tables: what columns are taken for, how they become numbers, what is refused and what goes on with a remark."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.config import from_json, to_json
from lamina.data import load, load_split
from lamina.data.base import ClassTarget, ValueTarget
from lamina.data.table import TablePreprocessing, load_table, load_table_split
from lamina.data.table_columns import CategoryColumn, DateColumn, NumberColumn
from lamina.data.table_fit import bin_edges, fit_columns
from lamina.data.table_read import read_table
from lamina.errors import DataError

rng = np.random.default_rng(0)
N = 400
FRAME = pl.DataFrame(
    {
        "size": rng.normal(10, 3, N),
        "colour": rng.choice(["red", "green", "blue"], N),
        "day": [date(2020, 1 + i % 12, 1 + i % 28) for i in range(N)],
        "ok": rng.random(N) > 0.5,
        "label": rng.choice(["yes", "no"], N),
    }
)


def fitted(frame: pl.DataFrame, scale: str = "auto", **options: Any) -> TablePreprocessing:
    preprocessing = load_table(frame, scale=scale, **options).preprocessing
    assert isinstance(preprocessing, TablePreprocessing)
    return preprocessing


def column(frame: pl.DataFrame, name: str, scale: str = "auto") -> Any:
    return next(found for found in fit_columns(frame, scale).columns if found.name == name)


def encoded(preprocessing: TablePreprocessing, raw: Any) -> np.ndarray:
    return np.asarray(jax.jit(preprocessing.transform)(preprocessing.encode(raw)))


# Reading


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'a{delimiter}"b, c; d"{delimiter}y\n1{delimiter}"x{delimiter}y"{delimiter}2\n')
    assert read_table(path, target="y").frame.rows() == [("1", f"x{delimiter}y", "2")]


def test_missing_values_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfa, b ,y\n ? , x y,1\nNA,NaN,2\n,null,3\nN/A,none,4\n")
    frame = read_table(path, target="y").frame
    assert frame.columns == ["a", "b", "y"]
    assert frame["a"].to_list() == [None] * 4
    assert frame["b"].to_list() == ["x y", None, None, "none"]


def test_decimal_commas_where_semicolons_delimit(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b;y\n1,5;a,b;1\n-2,25;c;2\n?;d;3\n")
    frame = read_table(path, target="y").frame
    assert frame["a"].to_list() == ["1.5", "-2.25", None]
    assert frame["b"].to_list() == ["a,b", "c", "d"]


def test_a_file_without_a_header_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{'MFI'[i % 3]},{i / 7:.3f},{i % 2}\n" for i in range(80)))
    data = load_table(path, target="column_3")
    assert data.preprocessing.target == "column_3"  # type: ignore[attr-defined]
    assert any("no header line" in warning for warning in data.card.warnings)
    split, _ = load_table_split(path, data.preprocessing, data.target)  # type: ignore[arg-type]
    assert len(split) == 80
    without = tmp_path / "x.csv"
    without.write_text("M,0.4\nF,0.5\n")
    assert len(data.preprocessing.encode(without)["numbers"]) == 2
    for target in (None, "rings", "column_9"):
        with pytest.raises(DataError, match=r"no header line: it begins with M, 0\.000, 0\. Name .* column_3 the last"):
            load_table(path, target=target)
    path.write_text("0.5,0.7,R\n0.4,0.2,M\n")
    with pytest.raises(DataError, match="no header line"):
        load_table(path, target="R")


def test_columns_may_be_called_by_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("label,0,1,2\n" + "a,5,6,7\nb,7,6,5\n" * 20)
    assert read_table(path, target="label").frame.columns == ["label", "0", "1", "2"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,y\n", "has 0 rows and 2 columns"),
        (b"a,y\n1,2\n3,4,5\n", "cannot be read as CSV"),
        (b"a\0b,y\n1,2\n", "is not text: it holds zero bytes"),
        (b"a, a,y\n1,2,3\n", "Two columns are called 'a'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_table(path, target="y")


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    FRAME.write_parquet(path)
    whole = path.read_bytes()
    for content in (whole[:-100], b"", b"a,label\n1,2\n", whole[:4] + bytes(200) + whole[204:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            load_table(path, target="label")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load_table(tmp_path / "none.csv", target="label")


cells = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
names = st.lists(st.text("abcdefgh_", min_size=1, max_size=4), min_size=2, max_size=5, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_table_written_is_the_table_read(tmp_path: Path, data: st.DataObject) -> None:
    columns = data.draw(names)
    rows = data.draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=8))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    path = tmp_path / "t.csv"
    frame.write_csv(path, quote_style="always")
    tidy = read_table(frame).frame
    assert read_table(path, target=columns[0]).frame.equals(tidy)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(content=st.one_of(st.binary(max_size=200), st.text('a1,;\n"\t .?y\r', max_size=80).map(str.encode)))
def test_any_bytes_are_a_table_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        data = load_table(path, target="y")
    except DataError:
        return
    assert len(data.train) > 0


# Columns


def test_kinds_are_told_from_the_values() -> None:
    frame = pl.DataFrame(
        {
            "number": [f"{i / 3:.2f}" for i in range(100)],
            "slips": [str(i) if i != 7 else "many" for i in range(100)],
            "truth": ["True", "False"] * 50,
            "word": ["a", "b", "c", "d"] * 25,
            "day": [f"2021-03-{1 + i % 28:02d}" for i in range(100)],
            "american": [f"{1 + i % 12}/{1 + i % 28}/2020" for i in range(100)],
            "constant": ["x"] * 100,
            "empty": [None] * 100,
            "name": [f"person {i}" for i in range(100)],
            "id": [str(i) for i in range(100)],
            "code": [f"c{i // 2}" for i in range(100)],
        },
        strict=False,
    )
    found = fit_columns(frame.with_columns(pl.col("empty").cast(pl.String)), "auto")
    assert {c.name: type(c) for c in found.columns} == {
        "number": NumberColumn,
        "slips": NumberColumn,
        "truth": CategoryColumn,
        "word": CategoryColumn,
        "day": DateColumn,
        "american": DateColumn,
        "code": CategoryColumn,
    }
    assert found.dropped == {
        "constant": "constant",
        "empty": "no value in the training split",
        "name": "nearly every row has a text of its own",
        "id": "numbers the rows",
    }


def test_numbers_are_scaled_and_cut_into_bins() -> None:
    x = rng.normal(5, 2, 1000)
    frame = pl.DataFrame({"x": x})
    for scale, expected in [
        ("standard", (x - x.mean()) / x.std()),
        ("minmax", (x - x.min()) / (x.max() - x.min())),
        ("none", x),
    ]:
        found = column(frame, "x", scale)
        np.testing.assert_allclose(found.encode(frame["x"])[0], expected, rtol=1e-4, atol=1e-5)
        assert found.edges == ()
    preprocessing = TablePreprocessing((column(frame, "x"),), "y")
    edges = np.sort(x)[[0, *range(49, 1000, 50)]]  # 1,000 rows: 20 bins of 50
    found = encoded(preprocessing, frame)
    assert found.shape == (1000, 21)
    reference = np.stack([np.interp(x, edges[i : i + 2], (0, 1)) for i in range(20)], axis=1)
    np.testing.assert_allclose(found[:, 0], (x - x.mean()) / x.std(), atol=1e-5)
    np.testing.assert_allclose(found[:, 1:], reference, atol=1e-4)


def test_a_column_that_is_mostly_zero_has_bins_where_it_is_not() -> None:
    x = np.concatenate([np.zeros(950), rng.normal(100, 10, 50)])
    edges = bin_edges(x, 16)
    assert 12 <= len(edges) <= 17
    assert np.sum(edges > 50) >= 11
    assert bin_edges(np.asarray([3.0, 1.0, 2.0, 1.0]), 8).tolist() == [1, 2, 3]


def test_missing_numbers_become_the_median_and_are_told() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, None, 6.0], "full": [1.0, 2.0, 3.0, 5.0]})
    preprocessing = TablePreprocessing(tuple(fit_columns(frame, "none").columns), "y")
    assert encoded(preprocessing, frame).tolist() == [[1, 1, 0], [2, 2, 0], [2, 3, 1], [6, 5, 0]]
    later = {"x": [float("nan"), 7.0], "full": [None, float("inf")]}
    assert encoded(preprocessing, later).tolist() == [[2, 2.5, 1], [7, 2.5, 0]]


def test_categories_are_one_hot_with_rare_missing_and_new_ones() -> None:
    frame = pl.DataFrame({"c": ["a"] * 10 + ["b"] * 10 + ["rare"] + [None] * 5})
    found = column(frame, "c")
    assert found == CategoryColumn("c", ("a", "b"), ("rare",), missing=True)
    raw = {"c": ["a", "b", "rare", "new", None]}
    assert found.encode(pl.Series("c", raw["c"])).tolist() == [0, 1, 2, 2, 3]
    assert encoded(TablePreprocessing((found,), "y"), raw).tolist() == np.eye(4)[[0, 1, 2, 2, 3]].tolist()
    plain = CategoryColumn("c", ("a", "b"))
    assert plain.encode(pl.Series(raw["c"])).tolist() == [0, 1, -1, -1, -1]
    assert not encoded(TablePreprocessing((plain,), "y"), {"c": ["new"]}).any()


def test_values_are_the_same_however_they_are_stored() -> None:
    found = CategoryColumn("c", ("1", "2"))
    for values in ([1, 2], [1.0, 2.0], ["1", "2"], ["1.0", "2.00"]):
        assert found.encode(pl.Series("c", values)).tolist() == [0, 1]
    truth = CategoryColumn("c", ("false", "true"))
    for values in ([False, True], ["False", "TRUE"], ["false", "true"]):
        assert truth.encode(pl.Series("c", values)).tolist() == [0, 1]


@pytest.mark.parametrize("as_text", [False, True])
def test_dates_become_numbers(as_text: bool) -> None:
    days = [datetime(2020, 2, 29, 12), datetime(2021, 7, 4, 18), datetime(2021, 7, 5, 0)]
    series = pl.Series("d", [day.isoformat() for day in days] if as_text else days)
    found = column(series.to_frame(), "d", "none")
    assert isinstance(found, DateColumn)
    parts = {
        part.name.removeprefix("d."): values for part, values in zip(found.parts, found.split(series), strict=True)
    }
    assert parts["days"].to_list() == [(day - datetime(1970, 1, 1)).total_seconds() / 86400 for day in days]
    assert parts["year"].to_list() == [2020, 2021, 2021]
    assert parts["month"].to_list() == [2, 7, 7]
    assert parts["day"].to_list() == [29, 4, 5]
    assert parts["weekday"].to_list() == [day.isoweekday() for day in days]
    assert parts["hour"].to_list() == [12, 18, 0]
    assert found.split(pl.Series("d", ["no date", None]))[0].to_list() == [None, None]


def test_the_format_of_dates_is_kept() -> None:
    frame = pl.DataFrame({"d": [f"{day}/{month}/2020" for month in range(1, 13) for day in (1, 15, 28)]})
    found = column(frame, "d", "none")
    assert found.format == "%d/%m/%Y"
    month = [part.name for part in found.parts].index("d.month")
    assert found.split(pl.Series("d", ["3/4/2020"]))[month].to_list() == [4]  # alone it could be read otherwise


# Tables


def test_the_vector_is_as_long_as_the_spec_says_and_survives_json() -> None:
    frame = FRAME.with_columns(
        pl.when(pl.col("size") > 6).then("size"), pl.when(pl.col("ok")).then("colour").alias("c")
    )
    for scale in ("auto", "standard", "minmax", "none"):
        preprocessing = fitted(frame, scale, target="label")
        restored = from_json(json.loads(json.dumps(to_json(preprocessing))))
        assert restored == preprocessing
        found = encoded(restored, frame)
        assert found.shape == (N, *preprocessing.input_spec().shape)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


def test_the_same_rows_in_any_form_give_the_same_numbers(tmp_path: Path) -> None:
    preprocessing = fitted(FRAME, target="label")
    rows = FRAME[:5].drop("label")
    rows.write_csv(tmp_path / "r.csv")
    rows.write_parquet(tmp_path / "r.parquet")
    expected = encoded(preprocessing, rows)
    forms: list[Any] = [tmp_path / "r.csv", str(tmp_path / "r.parquet"), rows.to_dicts(), rows.to_dict(as_series=False)]
    for form in [*forms, rows.select(rows.columns[::-1]), rows.lazy()]:
        np.testing.assert_allclose(encoded(preprocessing, form), expected, atol=1e-5)


def test_only_the_training_rows_are_fitted() -> None:
    test = FRAME[:50].with_columns(pl.col("size") * 100, pl.lit("violet").alias("colour"))
    first = load_table(FRAME, target="label", test=FRAME[:50])
    second = load_table(FRAME, target="label", test=test)
    assert first.preprocessing == second.preprocessing
    assert any("'colour' has a value not seen in training, 'violet'" in warning for warning in second.card.warnings)
    whole = load_table(FRAME, target="size")
    assert whole.test is not None
    held_out = [int(name.split()[1]) - 1 for split in (whole.validation, whole.test) for name in split.names]
    changed = FRAME.with_row_index().with_columns(
        pl.when(pl.col("index").is_in(held_out)).then(pl.col("size") + 50).otherwise("size").alias("size")
    )
    again = load_table(changed.drop("index"), target="size")
    assert again.preprocessing == whole.preprocessing
    assert again.target == whole.target


def test_the_seed_decides_the_split_and_nothing_else_does() -> None:
    first, again, other = (load_table(FRAME, target="label", seed=seed) for seed in (3, 3, 4))
    assert list(first.train.names) == list(again.train.names)
    assert first.preprocessing == again.preprocessing
    assert list(first.train.names) != list(other.train.names)


def test_names_are_the_rows_of_the_file() -> None:
    frame = FRAME.with_columns(pl.when(pl.arange(0, N) % 10 != 0).then("label").alias("label"))
    data = load_table(frame, target="label")
    for split in (data.train, data.validation, data.test):
        assert split is not None
        rows = [int(name.removeprefix("row ")) - 1 for name in split.names]
        expected = frame[rows]
        assert [data.target.names[index] for index in split.targets] == expected["label"].to_list()  # type: ignore[attr-defined]
        np.testing.assert_array_equal(
            split.read(np.arange(3))["numbers"], data.preprocessing.encode(expected[:3])["numbers"]
        )
    assert "40 of 400 rows of the table have no 'label' and are left out." in data.card.warnings
    assert sum(part["examples"] for part in data.card.splits.values()) == 360


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 50, ClassTarget),
        ([True, False] * 50, ClassTarget),
        ([0, 1] * 50, ClassTarget),
        (["0", "1"] * 50, ClassTarget),
        ([1.0, 2.0] * 50, ClassTarget),
        (list(range(10)) * 10, ValueTarget),
        ([0.5, 1.0] * 50, ValueTarget),
        ([str(i / 10) for i in range(100)], ValueTarget),
        (["1", "2", "three", "four"] * 25, ClassTarget),
    ],
)
def test_the_task_follows_from_the_target(values: list[Any], kind: type) -> None:
    data = load_table({"x": rng.normal(size=100), "y": values}, target="y")
    assert isinstance(data.target, kind)


def test_the_task_can_be_given() -> None:
    table = {"x": rng.normal(size=100), "y": list(range(10)) * 10}
    assert load_table(table, target="y", task="classify").target == ClassTarget(tuple("0123456789"))
    target = load_table(table, target="y", task="regress").target
    assert isinstance(target, ValueTarget)
    assert target.names == ("y",)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {"target": "lable"}, r"has no column 'lable'\. Did you mean 'label'"),
        ({}, {}, r"Which column of the table is to be predicted\? .*size, colour, day, ok, label"),
        ({"label": "yes"}, {"target": "label"}, "'label' of the table has one class only, 'yes'"),
        ({"label": None}, {"target": "label"}, "'label' of the table is missing in all 400 rows"),
        ({"size": 3.5}, {"target": "size"}, "'size' of the table is constant"),
        ({}, {"target": "colour", "task": "regress"}, "400 values that are no numbers, the first '.*'classify'"),
        ({}, {"target": "size", "task": "classify"}, r"400 classes with one example only"),
        (
            {"size": 1, "colour": "a", "day": "b", "ok": True},
            {"target": "label"},
            r"No column .* of use: 'size' \(constant\)",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(changes: dict[str, Any], options: dict[str, Any], words: str) -> None:
    frame = FRAME.with_columns(pl.lit(value).alias(name) for name, value in changes.items())
    with pytest.raises(DataError, match=words):
        load_table(frame, **options)


def test_a_class_with_one_row_is_refused() -> None:
    frame = FRAME.with_columns(pl.when(pl.arange(0, N) == 3).then(pl.lit("perhaps")).otherwise("label").alias("label"))
    with pytest.raises(DataError, match="The class with one example only: 'perhaps'"):
        load_table(frame, target="label")


def test_a_table_needs_other_columns() -> None:
    with pytest.raises(DataError, match="No column of the table but the target is of use: there is none"):
        load_table(FRAME.select("label"), target="label")


def test_a_column_that_tells_the_target_is_told_of() -> None:
    frame = FRAME.with_columns(
        (pl.col("label") == "yes").cast(pl.Int8).alias("answer"), (pl.col("size") * 2 + 1).alias("double")
    )
    warnings = load_table(frame, target="label").card.warnings
    assert [warning for warning in warnings if "exactly" in warning] == [
        "The column 'answer' tells the target 'label' exactly. If it will not be known when you predict, remove it."
    ]
    assert any(
        "'double' tells the target 'size'" in warning for warning in load_table(frame, target="size").card.warnings
    )


def test_equal_rows_stay_on_one_side() -> None:
    data = load_table(pl.concat([FRAME, FRAME[:80]]), target="label")
    sides = [
        {(int(name.split()[1]) - 1) % N for name in split.names} for split in (data.train, data.validation, data.test)
    ]  # type: ignore[union-attr]
    assert not sides[0] & (sides[1] | sides[2])
    assert not sides[1] & sides[2]
    assert data.card.duplicates["within"] == 80


def test_a_table_of_few_patterns_is_split_row_by_row() -> None:
    frame = pl.DataFrame({"a": [0, 1] * 100, "b": [0, 0, 1, 1] * 50, "y": ["n", "y", "y", "n"] * 50})
    data = load_table(frame, target="y")
    assert [len(split) for split in (data.train, data.validation, data.test or ())] == [160, 20, 20]
    assert "not kept together" in data.card.split_rule


# Prediction


def test_columns_that_lack_or_are_new_at_prediction_are_refused() -> None:
    preprocessing = fitted(FRAME.with_columns(pl.lit("x").alias("constant")), target="label")
    rows = FRAME[:3].drop("label")
    with pytest.raises(
        DataError, match=r"the table lacks the column 'colour', which the model needs\. Did you mean 'color'"
    ):
        preprocessing.encode(rows.rename({"colour": "color"}))
    with pytest.raises(
        DataError, match=r"lacks the columns 'colour', 'day', which the model needs\. The model reads size"
    ):
        preprocessing.encode(rows.drop("colour", "day"))
    with pytest.raises(DataError, match="a column that was not there in training: 'weight'"):
        preprocessing.encode(rows.with_columns(pl.lit(1).alias("weight")))
    allowed = rows.with_columns(pl.lit("yes").alias("label"), pl.lit("x").alias("constant"))
    np.testing.assert_array_equal(encoded(preprocessing, allowed), encoded(preprocessing, rows))


def test_prediction_gathers_files_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessing = fitted(FRAME, target="label")
    path = tmp_path / "r.csv"
    FRAME[:3].write_csv(path)
    content = (
        FRAME[3:5].drop("label").with_columns(pl.lit("violet").alias("colour"), pl.lit("big").alias("size")).write_csv()
    )

    class Stdin:
        buffer = io.BytesIO(content.encode())

    monkeypatch.setattr("sys.stdin", Stdin())
    inputs = preprocessing.gather([str(path), "-"])
    assert inputs.names == (*(f"{path} row {i}" for i in (1, 2, 3)), "- row 1", "- row 2")
    assert inputs.warnings == (
        "-: 'size' has 2 values that are no numbers; taken as missing.",
        "-: 'colour' has a value not seen in training, 'violet'; taken as no value at all.",
    )
    np.testing.assert_allclose(encoded(preprocessing, inputs.raw)[:3], encoded(preprocessing, FRAME[:3]), atol=1e-5)
    assert encoded(preprocessing, inputs.raw[1:3]).shape == (2, *preprocessing.input_spec().shape)
    with pytest.raises(DataError, match="cannot be read"):
        preprocessing.gather([str(tmp_path / "none.csv")])


def test_a_model_is_measured_on_rows_with_a_target(tmp_path: Path) -> None:
    data = load_table(FRAME, target="label")
    preprocessing = data.preprocessing
    assert isinstance(preprocessing, TablePreprocessing)
    frame = FRAME.with_columns(pl.when(pl.arange(0, N) < 390).then("label").alias("label"))
    split, card = load_table_split(frame, preprocessing, data.target)
    assert (len(split), card.splits["test"]["examples"]) == (390, 390)
    assert any("10 of 400 rows" in warning for warning in card.warnings)
    with pytest.raises(DataError, match="has no column 'label' to compare"):
        load_table_split(FRAME.drop("label"), preprocessing, data.target)
    with pytest.raises(DataError, match="label 'maybe' is none of the 2 classes"):
        load_table_split(FRAME.with_columns(pl.lit("maybe").alias("label")), preprocessing, data.target)


def test_a_test_table_must_have_the_same_columns() -> None:
    with pytest.raises(DataError, match="lacks the column 'size'"):
        load_table(FRAME, target="label", test=FRAME.drop("size"))
    with pytest.raises(DataError, match="a column 'more' that the training table lacks"):
        load_table(FRAME, target="label", test=FRAME.with_columns(pl.lit(1).alias("more")))


@pytest.mark.parametrize(
    ("name", "target", "kind", "rows"),
    [
        ("adult_train.csv", "income", ClassTarget, 32_561),
        ("diamonds.csv", "price", ValueTarget, 53_940),
        ("penguins.csv", "species", ClassTarget, 344),
        ("winequality-white.csv", "column_12", ClassTarget, 4_898),
        ("abalone.csv", "column_9", ValueTarget, 4_177),
        ("sonar.csv", "column_61", ClassTarget, 208),
    ],
)
def test_real_tables(shared_data: Path, name: str, target: str, kind: type, rows: int) -> None:
    path = shared_data / "tables" / name
    data = load(path, target=target)
    assert isinstance(data.target, kind)
    assert sum(part["examples"] for part in data.card.splits.values()) == rows
    split, _ = load_split(path, data.preprocessing, data.target)
    assert len(split) == rows
    assert np.isfinite(np.asarray(data.preprocessing.transform(split.read(np.arange(500) % rows)))).all()
