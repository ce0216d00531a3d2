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
    from lamina.data.characters import CharacterPreprocessing
    from lamina.data.image_preprocessing import ImagePreprocessing
    from lamina.data.series_preprocessing import SeriesPreprocessing
    from lamina.data.series_windows import WindowPreprocessing
    from lamina.data.sound_preprocessing import SoundPreprocessing
    from lamina.data.sources import Kind
    from lamina.data.table_preprocessing import TablePreprocessing
    from lamina.data.text_preprocessing import TextPreprocessing
    from lamina.data.video_preprocessing import VideoPreprocessing

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


_TAKES = {
    "array": "arrays of numbers",
    "characters": "a text to go on with",
    "image": "pictures",
    "series": "series",
    "sound": "sounds",
    "table": "rows of a table",
    "text": "texts",
    "video": "videos",
}
_FITS = {
    "builtin": ("image", "array"),
    "arrays": ("image", "array"),
    "images": ("image",),
    "image list": ("image",),
    "sounds": ("sound",),
    "table": ("table", "series", "text"),
    "series": ("series",),
    "texts": ("text",),
    "text file": ("characters",),
    "videos": ("video",),
}
_FOLDERS: dict[str, Kind] = {"image": "images", "sound": "sounds", "video": "videos"}


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
    from lamina.data import sources

    if task == "autoencode":
        from lamina.data.unlabelled import load_inputs

        options: dict[str, Any] = {"seed": seed, "size": size, "test": test, "preprocessing": preprocessing}
        return load_inputs(source, target=target, scale=scale, **options)
    kind = sources.identify(source, target)
    if task == "forecast":
        return _load_forecast(kind, source, target, time_column, horizon, window, test, preprocessing)
    given = {"time_column": time_column, "horizon": horizon, "window": window}
    if any(value is not None for value in given.values()):
        named = next(name for name, value in given.items() if value is not None)
        raise ConfigError(f"{named} is for forecasts of a series.", "Give the task 'forecast', too, or leave it out.")
    if preprocessing is not None:
        kind = _as_the_model_takes_it(kind, preprocessing)
        _check_fits(kind, preprocessing, source)
        if preprocessing.kind in ("table", "series"):
            raise ConfigError(
                "Models of pictures and arrays can be trained further; those of tables and series cannot."
            )
    if target is not None and kind not in ("image list", "table"):
        raise ConfigError(f"A target column is for tables. Received: target={target!r}.", "Leave it out.")
    if size is not None and kind not in ("images", "image list", "videos"):
        raise ConfigError(f"A size is for pictures and videos in files. Received: size={size!r}.", "Leave it out.")
    if group is not None and kind not in ("image list", *_FOLDERS.values()):
        raise ConfigError(f"Groups are told from the names of files. Received: group={group!r}.", "Leave it out.")
    if test is not None and kind not in ("arrays", "table", "series", "texts"):
        where = "a built-in set has one" if kind == "builtin" else "put it into a sub-folder 'test' beside 'train'"
        raise ConfigError("A separate test part is for tables, series and arrays.", f"Leave it out: {where}.")
    if text is not None and kind != "table":
        raise ConfigError(f"A column of texts is for tables. Received: text={text!r}.", "Leave it out.")
    if kind in ("table", "texts", "text file"):
        options = {"text": text, "target": target, "tokens": tokens, "task": task, "seed": seed, "test": test}
        found = _load_as_text(source, kind, options, preprocessing)
        if found is not None:
            return found
    if tokens != "auto":
        raise ConfigError(f"Tokens are for texts. Received: tokens={tokens!r}.", "Name the column of texts.")
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
        return load_image_folder(source, scale=scale, seed=seed, size=size, group=group, preprocessing=pictures)
    if kind == "sounds":
        from lamina.data.sound import load_sound_folder

        _check_pictures_task(task, ("classify",), "sounds")
        if scale not in ("auto", "standard"):
            raise ConfigError(f"Sounds are always standardised. Received: scale={scale!r}.", "Leave it out.")
        sounds = cast("SoundPreprocessing | None", preprocessing)
        return load_sound_folder(source, seed=seed, group=group, preprocessing=sounds)
    if kind == "videos":
        from lamina.data.video import load_video_folder

        _check_pictures_task(task, ("classify",), "videos")
        videos = cast("VideoPreprocessing | None", preprocessing)
        return load_video_folder(source, scale=scale, seed=seed, size=size, group=group, preprocessing=videos)
    if kind == "image list":
        from lamina.data.images import load_image_list

        _check_pictures_task(task, ("classify", "multilabel"))
        return load_image_list(
            source, target=target, scale=scale, seed=seed, size=size, group=group, preprocessing=pictures
        )
    from lamina.data.table import load_table

    return load_table(source, target=target, task=task, scale=scale, seed=seed, test=test)


def _load_as_text(source: Any, kind: str, options: dict[str, Any], preprocessing: Any) -> Data | None:
    """Data from texts; None for a table that holds none."""
    if kind == "text file":
        from lamina.data.characters import load_characters

        if options["tokens"] == "words":
            raise ConfigError("A text is gone on with by characters.", "Leave the tokens out.")
        return load_characters(source, task=options["task"], preprocessing=preprocessing)
    why = ""
    if kind == "table" and preprocessing is not None:
        options["text"] = options["text"] or preprocessing.column
    elif kind == "table" and options["text"] is None:
        from lamina.data.text_read import free_text_column

        options["text"], why = free_text_column(source, options["target"]) or (None, "")
        if options["text"] is None:
            return None
    from lamina.data.text import load_texts

    return load_texts(source, **options, why=why, preprocessing=preprocessing)


def load_split(source: Any, preprocessing: Preprocessing, target: Target) -> tuple[Split, DataCard]:
    """Read data as a trained model takes it: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be found or read, or does not fit the model.
    """
    from lamina.data import sources

    if isinstance(target, InputTarget):
        from lamina.data.unlabelled import load_input_split

        return load_input_split(source, preprocessing, target)
    kind = sources.identify(source, getattr(preprocessing, "target", None))
    kind = _as_the_model_takes_it(kind, preprocessing)
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
    if preprocessing.kind == "text":
        from lamina.data.text import load_text_split

        return load_text_split(source, cast("TextPreprocessing", preprocessing), target)
    if kind == "text file":
        from lamina.data.characters import load_character_split

        return load_character_split(source, cast("CharacterPreprocessing", preprocessing))
    if kind == "table":
        from lamina.data.table import load_table_split

        return load_table_split(source, cast("TablePreprocessing", preprocessing), target)
    if kind == "sounds":
        from lamina.data.sound import load_sound_split

        return load_sound_split(source, cast("SoundPreprocessing", preprocessing), target)
    if kind == "videos":
        from lamina.data.video import load_video_split

        return load_video_split(source, cast("VideoPreprocessing", preprocessing), target)
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


def _as_the_model_takes_it(kind: Kind, preprocessing: Preprocessing) -> Kind:
    """A folder's kind, where a model decides it: one of animated GIFs may well be given to a model of pictures."""
    wanted = _FOLDERS.get(preprocessing.kind)
    return kind if wanted is None or kind not in _FOLDERS.values() else wanted


def _check_fits(kind: str, preprocessing: Preprocessing, source: Any) -> None:
    if preprocessing.kind not in _FITS[kind]:
        takes = _TAKES.get(preprocessing.kind, preprocessing.kind)
        raise DataError(f"The model takes {takes}. Received: {_name(source)} ({kind}).")


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "what is in memory"


def _check_pictures_task(task: str, possible: tuple[str, ...], what: str = "pictures") -> None:
    from lamina.data.targets import check_task

    check_task(task)
    if task not in ("auto", *possible):
        raise ConfigError(f"The task {task!r} is not possible with these {what}.", f"Possible: {', '.join(possible)}.")
