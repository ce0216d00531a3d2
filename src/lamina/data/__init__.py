"""Data ready to train on, from whatever it is: a folder of pictures, a table, arrays, a built-in set.

Only what a source needs is imported: polars for tables, Pillow for pictures.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from lamina.data.base import (
    ArraySplit,
    ClassTarget,
    Data,
    DataCard,
    Inputs,
    InputTarget,
    MultiLabelTarget,
    Preprocessing,
    Split,
    Target,
    Task,
    ValueTarget,
)
from lamina.errors import ConfigError, DataError

if TYPE_CHECKING:
    from lamina.data.image_preprocessing import ImagePreprocessing
    from lamina.data.series_preprocessing import SeriesPreprocessing
    from lamina.data.series_windows import WindowPreprocessing
    from lamina.data.table_preprocessing import TablePreprocessing

__all__ = [
    "ArraySplit",
    "ClassTarget",
    "Data",
    "DataCard",
    "InputTarget",
    "Inputs",
    "MultiLabelTarget",
    "Preprocessing",
    "Split",
    "Target",
    "Task",
    "ValueTarget",
    "load",
    "load_split",
]


_TAKES = {"array": "arrays of numbers", "image": "pictures", "table": "rows of a table", "series": "series"}
_FITS = {
    "builtin": ("image", "array"),
    "arrays": ("image", "array"),
    "images": ("image",),
    "image list": ("image",),
    "table": ("table", "series"),
    "series": ("series",),
}


def load(
    source: Any,
    *,
    target: str | None = None,
    task: str = "auto",
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    test: Any = None,
    preprocessing: Preprocessing | None = None,
    time_column: str | None = None,
    horizon: int | None = None,
    window: int | None = None,
) -> Data:
    """Read data, split it, and fit its preprocessing on the training part.

    Args:
        source: a folder of pictures (a sub-folder a class), or of IDX files; a `.csv` or `.parquet` table, or a
            `.csv` of picture paths; an `.npz` file; a `.ts` file of series; the name of a built-in set; ``(x, y)`` or
            {"train": (x, y), "test": (x, y)}; a polars or pandas frame. Where a file or folder has no test part one
            is split off; arrays are taken as a training part.
        target: the column to predict, in a table.
        task: "auto", or "classify", "multilabel", "regress"; "forecast" for a table whose rows follow each other in
            time.
        scale: "auto", "minmax", "standard" or "none".
        seed: of the split, where there are no given parts. Built-in sets have a fixed one.
        size: height and width of pictures, in pixels; a single number for both.
        test: a source of the same kind to keep as the test part.
        preprocessing: a trained model's, to go on training it with data of its kind (pictures or arrays), in place of
            one fitted here.
        time_column, horizon, window: of a forecast, see `lamina.data.series.load_series`.

    Raises:
        DataError: for a source that cannot be found, read or learned from.
        ConfigError: for an unknown option value.
    """
    from lamina.data import sources

    kind = sources.identify(source, target)
    if task == "forecast":
        return _load_forecast(kind, source, target, time_column, horizon, window, test, preprocessing)
    given = {"time_column": time_column, "horizon": horizon, "window": window}
    if any(value is not None for value in given.values()):
        named = next(name for name, value in given.items() if value is not None)
        raise ConfigError(f"{named} is for forecasts of a series.", "Give the task 'forecast', too, or leave it out.")
    if preprocessing is not None:
        _check_fits(kind, preprocessing, source)
        if kind in ("table", "series"):
            raise ConfigError(
                "Models of pictures and arrays can be trained further; those of tables and series cannot."
            )
    if target is not None and kind in ("builtin", "arrays", "images", "series"):
        raise ConfigError(f"A target column is for tables. Received: target={target!r}.", "Leave it out.")
    if size is not None and kind not in ("images", "image list"):
        raise ConfigError(f"A size is for pictures in files. Received: size={size!r}.", "Leave it out.")
    if test is not None and kind not in ("arrays", "table", "series"):
        where = "a built-in set has one" if kind == "builtin" else "put it into a sub-folder 'test' beside 'train'"
        raise ConfigError("A separate test part is for tables, series and arrays.", f"Leave it out: {where}.")
    if kind == "builtin":
        from lamina.data.builtin import load_builtin

        return load_builtin(os.fspath(source), task=task, scale=scale, preprocessing=preprocessing)
    if kind == "arrays":
        from lamina.data.arrays import load_arrays

        parts = sources.read_arrays_of(source)
        if test is not None:
            held_out = sources.read_arrays_of(test)
            parts["test"] = held_out.get("test", held_out["train"])
        # Who gives arrays in Python holds the test part back already, as with scikit-learn or Keras.
        in_file = isinstance(source, str | os.PathLike)
        return load_arrays(
            parts,
            source=_name(source),
            task=task,
            scale=scale,
            seed=seed,
            hold_out=in_file,
            preprocessing=preprocessing,
        )
    if kind == "series":
        from lamina.data.series_classes import load_series_classes

        return load_series_classes(source, task=task, scale=scale, seed=seed, test=test)
    pictures = cast("ImagePreprocessing | None", preprocessing)
    if kind == "images":
        from lamina.data.images import load_image_folder

        _check_pictures_task(task, ("classify",))
        return load_image_folder(source, scale=scale, seed=seed, size=size, preprocessing=pictures)
    if kind == "image list":
        from lamina.data.images import load_image_list

        _check_pictures_task(task, ("classify", "multilabel"))
        return load_image_list(source, target=target, scale=scale, seed=seed, size=size, preprocessing=pictures)
    from lamina.data.table import load_table

    return load_table(source, target=target, task=task, scale=scale, seed=seed, test=test)


def load_split(source: Any, preprocessing: Preprocessing, target: Target) -> tuple[Split, DataCard]:
    """Read data as a trained model takes it: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be found or read, or does not fit the model.
    """
    from lamina.data import sources

    kind = sources.identify(source, getattr(preprocessing, "target", None))
    _check_fits(kind, preprocessing, source)
    if kind == "builtin":
        from lamina.data.builtin import load_builtin_split

        return load_builtin_split(os.fspath(source), preprocessing, target)
    if kind == "arrays":
        from lamina.data.arrays import load_array_split

        return load_array_split(sources.read_arrays_of(source), preprocessing, target, source=_name(source))
    if kind == "series":
        from lamina.data.series_classes import load_series_classes_split

        if target.task == "forecast":
            raise DataError(f"The model forecasts a series in a table. Received: {_name(source)}.")
        return load_series_classes_split(source, cast("SeriesPreprocessing", preprocessing), target)
    if kind == "table" and preprocessing.kind == "series":
        from lamina.data.series import load_series_split

        if target.task != "forecast":
            raise DataError(f"The model takes series in .ts files. Received: {_name(source)} (table).")
        return load_series_split(source, cast("WindowPreprocessing", preprocessing), target)
    if kind == "table":
        from lamina.data.table import load_table_split

        return load_table_split(source, cast("TablePreprocessing", preprocessing), target)
    from lamina.data.images import load_image_split

    return load_image_split(source, cast("ImagePreprocessing", preprocessing), target)


def _load_forecast(
    kind: str,
    source: Any,
    target: str | None,
    time_column: str | None,
    horizon: int | None,
    window: int | None,
    test: Any,
    preprocessing: Preprocessing | None,
) -> Data:
    from lamina.data.series import load_series

    if kind != "table":
        raise ConfigError(
            f"Forecasts are learned from a table with a column of times. Received: {_name(source)} ({kind})."
        )
    if test is not None:
        raise ConfigError("The test part of a forecast is the end of the series.", "Leave the test part out.")
    if preprocessing is not None:
        raise ConfigError("Models of pictures and arrays can be trained further; those of series cannot.")
    return load_series(source, target=target, time_column=time_column, horizon=horizon, window=window)


def _check_fits(kind: str, preprocessing: Preprocessing, source: Any) -> None:
    if preprocessing.kind not in _FITS[kind]:
        takes = _TAKES.get(preprocessing.kind, preprocessing.kind)
        raise DataError(f"The model takes {takes}. Received: {_name(source)} ({kind}).")


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "what is in memory"


def _check_pictures_task(task: str, possible: tuple[str, ...]) -> None:
    from lamina.data.targets import check_task

    check_task(task)
    if task not in ("auto", *possible):
        raise ConfigError(
            f"The task {task!r} is not possible with these pictures.", f"Possible: {', '.join(possible)}."
        )
