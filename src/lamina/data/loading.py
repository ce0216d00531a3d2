"""One reader for each kind of source: how it is read, and which options say something to it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from lamina.data import sources
from lamina.data.base import Data, DataCard, InputTarget, Preprocessing, Split, Target
from lamina.errors import ConfigError, DataError

__all__ = ["Options", "read", "read_split"]

Loaded: TypeAlias = tuple[Split, DataCard]


@dataclass(frozen=True)
class Options:
    """What was asked beside the source; see `lamina.data.load`.

    Attributes:
        why: how the column of texts was found, where nobody named it.
    """

    target: str | None = None
    task: str = "auto"
    scale: str = "auto"
    seed: int = 0
    size: int | tuple[int, int] | None = None
    test: Any = None
    group: str | None = None
    preprocessing: Any = None
    time_column: str | None = None
    horizon: int | None = None
    window: int | None = None
    text: str | None = None
    tokens: str = "auto"
    why: str = ""


@dataclass(frozen=True)
class _Reader:
    """How sources of one kind are read.

    Attributes:
        load, split: "module:function", imported when it is wanted.
        options: names of those that ``load`` takes.
        fits: kinds of preprocessing, a model with which takes such sources.
        tasks: that are possible; empty where ``load`` itself decides.
        what: the sources are, in messages.
    """

    load: str
    split: str
    options: tuple[str, ...]
    fits: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    what: str = ""


_FILES = ("seed", "size", "group", "scale", "preprocessing")
_READERS = {
    "builtin": _Reader(
        "builtin:load_builtin", "builtin:load_builtin_split", ("task", "scale", "preprocessing"), ("image", "array")
    ),
    "arrays": _Reader(
        "loading:load_arrays_of",
        "loading:load_array_split_of",
        ("task", "scale", "seed", "test", "preprocessing"),
        ("image", "array"),
    ),
    "images": _Reader(
        "images:load_image_folder", "images:load_image_split", _FILES, ("image",), ("classify",), "pictures"
    ),
    "image list": _Reader(
        "images:load_image_list",
        "images:load_image_split",
        (*_FILES, "target"),
        ("image",),
        ("classify", "multilabel"),
        "pictures",
    ),
    "sounds": _Reader(
        "sound:load_sound_folder",
        "sound:load_sound_split",
        ("seed", "group", "preprocessing"),
        ("sound",),
        ("classify",),
        "sounds",
    ),
    "videos": _Reader("video:load_video_folder", "video:load_video_split", _FILES, ("video",), ("classify",), "videos"),
    "table": _Reader(
        "table:load_table", "table:load_table_split", ("target", "task", "scale", "seed", "test"), ("table",)
    ),
    "text table": _Reader(
        "text:load_texts",
        "text:load_text_split",
        ("text", "target", "task", "tokens", "seed", "test", "why", "preprocessing"),
        ("text",),
    ),
    "texts": _Reader(
        "text:load_texts", "text:load_text_split", ("task", "tokens", "seed", "test", "preprocessing"), ("text",)
    ),
    "text file": _Reader(
        "characters:load_characters", "characters:load_character_split", ("task", "preprocessing"), ("characters",)
    ),
    "series": _Reader(
        "series_classes:load_series_classes",
        "series_classes:load_series_classes_split",
        ("task", "scale", "seed", "test"),
        ("series",),
    ),
    "forecast": _Reader(
        "series:load_series", "series:load_series_split", ("target", "time_column", "horizon", "window"), ("series",)
    ),
    "unlabelled": _Reader(
        "unlabelled:load_inputs",
        "unlabelled:load_input_split",
        ("target", "scale", "seed", "size", "test", "preprocessing"),
        ("image", "array"),
    ),
}
_FOLDERS = {"image": "images", "sound": "sounds", "video": "videos"}  # by the kind of preprocessing
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
_MEANT_FOR = {
    "target": "A target column is for tables",
    "size": "A size is for pictures and videos in files",
    "group": "Groups are told from the names of files",
    "time_column": "A column of times is for forecasts",
    "horizon": "A horizon is for forecasts",
    "window": "A window is for forecasts",
    "text": "A column of texts is for tables",
    "tokens": "Tokens are for texts, of which a single one is read by its characters",
}
_UNSCALED = {
    "sounds": "Sounds are always standardised",
    "forecast": "Series to forecast are always standardised",
}


def read(source: Any, options: Options) -> Data:
    """The data of a source; see `lamina.data.load`."""
    kind, options = _kind(source, options)
    reader = _READERS[kind]
    if options.preprocessing is not None:
        _check_fits(kind, options.preprocessing, source)
    for option in fields(Options):
        given = getattr(options, option.name)
        if option.name not in (*reader.options, "task", "seed") and given is not option.default:
            raise _refused(kind, option.name, given)
    if reader.tasks:
        _check_task(options.task, reader)
    chosen = {name: getattr(options, name) for name in reader.options}
    data: Data = _function(reader.load)(_named(kind, source), **chosen)
    return data


def read_split(source: Any, preprocessing: Preprocessing, target: Target) -> Loaded:
    """The labelled examples of a source as a trained model takes them; see `lamina.data.load_split`."""
    if isinstance(target, InputTarget):
        kind = "unlabelled"
    else:
        kind = _as_the_model_takes_it(
            sources.identify(source, getattr(preprocessing, "target", None)), preprocessing, target
        )
        _check_fits(kind, preprocessing, source)
    found: Loaded = _function(_READERS[kind].split)(_named(kind, source), preprocessing, target)
    return found


def load_arrays_of(source: Any, *, test: Any, **options: Any) -> Data:
    """The reader of arrays and of files that hold them."""
    from lamina.data.arrays import load_arrays

    parts = sources.read_arrays_of(source)
    if test is not None:
        held_out = sources.read_arrays_of(test)
        parts["test"] = held_out.get("test", held_out["train"])
    # Who gives arrays in Python holds the test part back already, as with scikit-learn or Keras.
    return load_arrays(parts, source=_name(source), hold_out=isinstance(source, str | os.PathLike), **options)


def load_array_split_of(source: Any, preprocessing: Preprocessing, target: Target) -> Loaded:
    """The reader of a split of arrays."""
    from lamina.data.arrays import load_array_split

    return load_array_split(sources.read_arrays_of(source), preprocessing, target, source=_name(source))


def _kind(source: Any, options: Options) -> tuple[str, Options]:
    """What a source is for the task, and the options with the column of texts, where it is found."""
    if options.task == "autoencode":
        return "unlabelled", options
    kind: str = sources.identify(source, options.target)
    if options.task == "forecast":
        if kind != "table":
            raise ConfigError(
                f"Forecasts are learned from a table with a column of times. Received: {_name(source)} ({kind})."
            )
        return "forecast", options
    if options.preprocessing is not None:
        kind = _as_the_model_takes_it(kind, options.preprocessing)
    if kind == "text table" and options.text is None:
        return kind, replace(options, text=options.preprocessing.column)
    if kind != "table" or options.preprocessing is not None:
        return kind, options
    if options.text is not None:
        return "text table", options
    from lamina.data.text_read import free_text_column

    found = free_text_column(source, options.target)
    return ("text table", replace(options, text=found[0], why=found[1])) if found else (kind, options)


def _as_the_model_takes_it(kind: str, preprocessing: Preprocessing, target: Target | None = None) -> str:
    """What a source is to a trained model: one of pictures may be given a folder of animated GIFs."""
    if kind == "table" and preprocessing.kind == "text":
        return "text table"
    if kind == "table" and target is not None and target.task == "forecast":
        return "forecast"
    if kind == "series" and target is not None and target.task == "forecast":
        raise DataError("The model forecasts a series in a table. Received: series in a .ts file.")
    wanted = _FOLDERS.get(preprocessing.kind)
    return kind if wanted is None or kind not in _FOLDERS.values() else wanted


def _check_fits(kind: str, preprocessing: Preprocessing, source: Any) -> None:
    if preprocessing.kind not in _READERS[kind].fits:
        takes = _TAKES.get(preprocessing.kind, preprocessing.kind)
        raise DataError(f"The model takes {takes}. Received: {_name(source)} ({kind}).")


def _check_task(task: str, reader: _Reader) -> None:
    from lamina.data.targets import check_task

    check_task(task)
    if task not in ("auto", *reader.tasks):
        raise ConfigError(
            f"The task {task!r} is not possible with these {reader.what}.", f"Possible: {', '.join(reader.tasks)}."
        )


def _refused(kind: str, name: str, value: Any) -> ConfigError:
    """An option that says nothing to sources of a kind."""
    if name == "preprocessing":
        return ConfigError(
            "Models of pictures, sounds, videos, texts and arrays can be trained further; others cannot."
        )
    if name == "test" and kind == "forecast":
        return ConfigError("The test part of a forecast is the end of the series.", "Leave the test part out.")
    if name == "test":
        where = "a built-in set has one" if kind == "builtin" else "put it into a sub-folder 'test' beside 'train'"
        return ConfigError("A separate test part is for tables, series, texts and arrays.", f"Leave it out: {where}.")
    meant = _UNSCALED.get(kind, "Texts are not scaled") if name == "scale" else _MEANT_FOR[name]
    return ConfigError(f"{meant}. Received: {name}={value!r}.", "Leave it out.")


def _function(place: str) -> Callable[..., Any]:
    module, name = place.split(":")
    function: Callable[..., Any] = getattr(importlib.import_module(f"lamina.data.{module}"), name)
    return function


def _named(kind: str, source: Any) -> Any:
    return os.fspath(source) if kind == "builtin" else source


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "what is in memory"
