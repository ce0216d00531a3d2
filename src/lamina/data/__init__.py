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
    from lamina.data.sound_preprocessing import SoundPreprocessing
    from lamina.data.sources import Kind
    from lamina.data.table_preprocessing import TablePreprocessing
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
    "image": "pictures",
    "sound": "sounds",
    "table": "rows of a table",
    "video": "videos",
}
_FITS = {
    "builtin": ("image", "array"),
    "arrays": ("image", "array"),
    "images": ("image",),
    "image list": ("image",),
    "sounds": ("sound",),
    "table": ("table",),
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
) -> Data:
    """Read data, split it, and fit its preprocessing on the training part.

    Args:
        source: a folder of pictures, sounds or videos (a sub-folder a class), or of IDX files; a `.csv` or `.parquet`
            table, or a `.csv` of picture paths; an `.npz` file; the name of a built-in set; ``(x, y)`` or {"train":
            (x, y), "test": (x, y)}; a polars or pandas frame. Where a file or folder has no test part one is split off;
            arrays are taken as a training part.
        target: the column to predict, in a table.
        task: "auto", or "classify", "multilabel", "regress".
        scale: "auto", "minmax", "standard" or "none".
        seed: of the split, where there are no given parts. Built-in sets have a fixed one.
        size: height and width of pictures or videos, in pixels; a single number for both.
        test: a source of the same kind to keep as the test part.
        group: a pattern (a regular expression) of file names; files in which it finds the same stay on one side of
            the split. ``"_([a-z]+)_"`` keeps the sounds of one speaker together where names are like ``3_theo_12.wav``,
            so that validation and test scores are those of speakers who were not learned from.
        preprocessing: a trained model's, to go on training it with data of its kind (pictures or arrays), in place of
            one fitted here.

    Raises:
        DataError: for a source that cannot be found, read or learned from.
        ConfigError: for an unknown option value.
    """
    from lamina.data import sources

    kind = sources.identify(source, target)
    if preprocessing is not None:
        kind = _as_the_model_takes_it(kind, preprocessing)
        _check_fits(kind, preprocessing, source)
        if kind == "table":
            raise ConfigError("Models of pictures and arrays can be trained further; those of tables cannot.")
    if target is not None and kind in ("builtin", "arrays", *_FOLDERS.values()):
        raise ConfigError(f"A target column is for tables. Received: target={target!r}.", "Leave it out.")
    if size is not None and kind not in ("images", "image list", "videos"):
        raise ConfigError(f"A size is for pictures and videos in files. Received: size={size!r}.", "Leave it out.")
    if group is not None and kind not in ("image list", *_FOLDERS.values()):
        raise ConfigError(f"Groups are told from the names of files. Received: group={group!r}.", "Leave it out.")
    if test is not None and kind not in ("arrays", "table"):
        where = "a built-in set has one" if kind == "builtin" else "put it into a sub-folder 'test' beside 'train'"
        raise ConfigError("A separate test part is for tables and arrays.", f"Leave it out: {where}.")
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


def load_split(source: Any, preprocessing: Preprocessing, target: Target) -> tuple[Split, DataCard]:
    """Read data as a trained model takes it: the test part where there is one, else everything.

    Raises:
        DataError: for a source that cannot be found or read, or does not fit the model.
    """
    from lamina.data import sources

    kind = sources.identify(source, getattr(preprocessing, "target", None))
    kind = _as_the_model_takes_it(kind, preprocessing)
    _check_fits(kind, preprocessing, source)
    if kind == "builtin":
        from lamina.data.builtin import load_builtin_split

        return load_builtin_split(os.fspath(source), preprocessing, target)
    if kind == "arrays":
        from lamina.data.arrays import load_array_split

        return load_array_split(sources.read_arrays_of(source), preprocessing, target, source=_name(source))
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
