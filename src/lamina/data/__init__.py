"""Data ready to train on, from whatever it is: a folder of pictures, a table, arrays, a built-in set.

Only what a source needs is imported: polars for tables, Pillow for pictures.
"""

from __future__ import annotations

from typing import Any

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


def load(
    source: Any,
    *,
    target: str | None = None,
    task: str = "auto",
    scale: str = "auto",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    test: Any = None,
    group: str | None = None,
    preprocessing: Preprocessing | None = None,
    time_column: str | None = None,
    horizon: int | None = None,
    window: int | None = None,
    text: str | None = None,
    tokens: str = "auto",
) -> Data:
    """Read data, split it, and fit its preprocessing on the training part.

    Args:
        source: a folder of pictures, sounds, videos or `.txt` (a sub-folder a class), or of IDX files; a `.csv` or
            `.parquet` table, or a `.csv` of picture paths; one `.txt` file to learn to go on with; an `.npz` file; a
            `.ts` file of series; the name of a built-in set; ``(x, y)`` or {"train": (x, y), "test": (x, y)}; a polars
            or pandas frame. Where a file or folder has no test part one is split off;
            arrays are taken as a training part.
        target: the column to predict, in a table.
        task: "auto", or "classify", "multilabel", "regress"; "forecast" for a table whose rows follow each other in
            time; "generate" for one text; "autoencode", which needs no labels: arrays may be given alone, and a folder
            of pictures needs no sub-folders.
        scale: "auto", "minmax", "standard" or "none".
        seed: of the split, where there are no given parts. Built-in sets have a fixed one.
        size: height and width of pictures or videos, in pixels; a single number for both.
        test: a source of the same kind to keep as the test part.
        group: a pattern (a regular expression) of file names; files in which it finds the same stay on one side of
            the split. ``"_([a-z]+)_"`` keeps the sounds of one speaker together where names are like ``3_theo_12.wav``,
            so that validation and test scores are those of speakers who were not learned from.
        preprocessing: a trained model's, to go on training it with data of its kind (pictures or arrays), in place of
            one fitted here.
        time_column, horizon, window: of a forecast, see `lamina.data.series.load_series`.
        text: the column of a table that holds texts, which are then all that is learned from. It is found where it is
            the only column beside the target.
        tokens: what texts are read by: "words", "characters", or "auto" to tell from the texts.

    Raises:
        DataError: for a source that cannot be found, read or learned from.
        ConfigError: for an unknown option value.
    """
    from lamina.data.loading import Options, read

    asked = Options(
        target=target,
        task=task,
        scale=scale,
        seed=seed,
        size=size,
        test=test,
        group=group,
        preprocessing=preprocessing,
        time_column=time_column,
        horizon=horizon,
        window=window,
        text=text,
        tokens=tokens,
    )
    return read(source, asked)


def load_split(source: Any, preprocessing: Preprocessing, target: Target) -> tuple[Split, DataCard]:
    """Read data as a trained model takes it: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be found or read, or does not fit the model.
    """
    from lamina.data.loading import read_split

    return read_split(source, preprocessing, target)
