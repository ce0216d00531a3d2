"""What all kinds of data have in common: splits, preprocessing, targets, the data card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import jax
import numpy as np

from lamina.config import Config
from lamina.errors import DataError
from lamina.layers.base import Spec

__all__ = [
    "Answer",
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
]

Task: TypeAlias = Literal["classify", "multilabel", "regress", "forecast", "autoencode", "generate"]
Answer: TypeAlias = Literal["class", "labels", "values", "input", "next"]
Encoded: TypeAlias = Any  # a pytree of NumPy arrays with a leading example axis


class Preprocessing(Config):
    """The way from raw input to the network's input, fitted on the training split, saved in the model file.

    It has two halves: ``encode`` runs on the host and gives compact arrays (decoded pictures as uint8, say);
    ``transform`` runs inside the compiled program and gives the network's input.
    """

    kind: ClassVar[str] = ""

    def encode(self, raw: Any) -> Encoded:
        """Raw examples → arrays with a leading example axis. Raises `DataError` for what cannot be used."""
        raise NotImplementedError

    def batches(self, raw: Any, size: int, skip: Callable[[int, str], object] | None = None) -> Iterator[Encoded]:
        """Raw examples encoded in batches of at most ``size``; pictures are decoded when their batch is asked for.

        Args:
            skip: told (index, reason) of an example that cannot be read, which is left out of its batch, before that
                batch comes; without it such an example raises.

        Raises:
            DataError: for what cannot be used.
        """
        encoded = self.encode(raw)
        for start in range(0, jax.tree.leaves(encoded)[0].shape[0], size):
            yield jax.tree.map(lambda array: array[start : start + size], encoded)  # noqa: B023

    def transform(self, x: Any) -> Any:
        """Encoded batch → network input, as jax arrays, inside the compiled program."""
        raise NotImplementedError

    def input_spec(self) -> Spec:
        """The network's input, without the batch axis."""
        raise NotImplementedError

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """What `lamina predict` was given on its command line (files, folders, "-" for standard input)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Inputs:
    """Raw inputs to predict.

    Attributes:
        names: one per input, shown beside its prediction.
        raw: what `Preprocessing.batches` takes.
        skipped: (name, reason) of what could not even be looked into.
        warnings: sentences for the person, such as on unseen categories.
        times: for forecasts, the times of the values that each input is answered with.
    """

    names: tuple[str, ...]
    raw: Any
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    times: tuple[tuple[str, ...], ...] = ()


class Target(Config):
    """What the network learns to say.

    Attributes:
        task: what the person asked for.
        answer: what the network says: one class of several, any number of labels, values, its own input again, or
            what comes next after every step of a sequence. Several tasks may ask for one kind of answer.
        names: of the classes, labels, values or symbols.
    """

    task: ClassVar[Task]
    answer: ClassVar[Answer]
    names: tuple[str, ...]

    @property
    def units(self) -> int:
        """How many outputs the network's last layer has."""
        raise NotImplementedError

    def encode(self, values: Any) -> np.ndarray:
        """Raw labels or values → arrays for the loss. Raises `DataError` for a label that is not known."""
        raise NotImplementedError

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets or values in the target's own unit; class indices and labels are already that."""
        return encoded


def _indices(names: tuple[str, ...], values: Any) -> np.ndarray:
    known = {name: index for index, name in enumerate(names)}
    try:
        return np.asarray([known[str(value)] for value in values], np.int32)
    except KeyError as error:
        shown = ", ".join(names[:10])
        raise DataError(f"The label {error.args[0]!r} is none of the {len(names)} classes {shown}.") from None


@dataclass(frozen=True, repr=False)
class ClassTarget(Target):
    """One of several classes. Encoded: int32 class indices ``(n,)``.

    Attributes:
        names: class names in index order.
    """

    task: ClassVar[Task] = "classify"
    answer: ClassVar[Answer] = "class"
    names: tuple[str, ...]

    @property
    def units(self) -> int:
        return len(self.names)

    def encode(self, values: Any) -> np.ndarray:
        return _indices(self.names, values)


@dataclass(frozen=True, repr=False)
class MultiLabelTarget(Target):
    """Any number of labels at once. Raw: a sequence of names per example. Encoded: float32 0/1 ``(n, labels)``."""

    task: ClassVar[Task] = "multilabel"
    answer: ClassVar[Answer] = "labels"
    names: tuple[str, ...]

    @property
    def units(self) -> int:
        return len(self.names)

    def encode(self, values: Any) -> np.ndarray:
        encoded = np.zeros((len(values), len(self.names)), np.float32)
        for row, labels in enumerate(values):
            encoded[row, _indices(self.names, labels)] = 1.0
        return encoded


@dataclass(frozen=True, repr=False)
class ValueTarget(Target):
    """One or several real values, standardised with the training split's mean and standard deviation.

    Encoded: float32 ``(n, values)``, in standard deviations.

    Attributes:
        names: of the values.
        mean, std: per value, in the target's own unit (after the logarithm where ``log``).
        log: the network learns log(value): for positive values spread over orders of magnitude.
    """

    task: ClassVar[Task] = "regress"
    answer: ClassVar[Answer] = "values"
    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    log: bool = False

    @property
    def units(self) -> int:
        return len(self.names)

    def encode(self, values: Any) -> np.ndarray:
        array = np.asarray(values, np.float64).reshape(len(values), len(self.names))
        if self.log:
            array = np.log(np.maximum(array, np.finfo(np.float64).tiny))
        standardised: np.ndarray = (array - np.asarray(self.mean)) / np.asarray(self.std)
        return standardised.astype(np.float32)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Standardised values ``(n, values)`` → values in the target's own unit, float64."""
        values: np.ndarray = np.asarray(encoded, np.float64).reshape(-1, len(self.names)) * self.std + self.mean
        if self.log:
            values = np.exp(values)
        return values


@dataclass(frozen=True, repr=False)
class InputTarget(Target):
    """The network's own input: an auto-encoder learns to give it back.

    Encoded: class indices int32 ``(n,)`` where the examples have classes, else zeros. Nothing is learned from them;
    codes are shown by class, and compared with their neighbours'.

    Attributes:
        names: of the classes; empty where there are none.
    """

    task: ClassVar[Task] = "autoencode"
    answer: ClassVar[Answer] = "input"
    names: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        raise NotImplementedError("An auto-encoder's outputs have its input's shape.")

    def encode(self, values: Any) -> np.ndarray:
        return _indices(self.names, values) if self.names else np.zeros(len(values), np.int32)


class Split(Protocol):
    """One split of the data, encoded on demand.

    Attributes:
        targets: encoded, all in memory.
        names: of the examples (file names, "row 17"), for reports.
        in_memory: whether `read` is a mere look-up.

    A split whose examples go on from one another also has ``continues = True``: training and evaluation then read it
    in order, and recurrent layers remember (`lamina.data.continuing`).
    """

    @property
    def targets(self) -> np.ndarray: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def in_memory(self) -> bool: ...

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> Encoded:
        """The encoded inputs at these indices, in their order. Safe to call from several threads."""
        ...


@dataclass(frozen=True)
class ArraySplit:
    """A split whose encoded inputs lie in memory.

    Attributes:
        continues: example i goes on where example i - 1 ends; see `lamina.data.continuing`.
    """

    inputs: Encoded
    targets: np.ndarray
    names: Sequence[str] = ()
    in_memory: bool = True
    continues: bool = False

    def __len__(self) -> int:
        return len(self.targets)

    def read(self, indices: np.ndarray) -> Encoded:
        return jax.tree.map(lambda array: array[indices], self.inputs)


@dataclass
class DataCard:
    """What a person should know of the data before trusting a result.

    Attributes:
        source: what was read.
        kind: "image", "table" or "array".
        splits: {"train" | "validation" | "test": {"examples": n, "classes": {name: count}}}.
        split_rule: one sentence on how the splits were made.
        facts: kind-specific facts (picture sizes, columns, …), JSON-able.
        duplicates: {"within": n, "across": n, "examples": [[name, name], …]}: exact duplicates found, those across
            given splits included.
        skipped: (name, reason) of unreadable files.
        warnings: sentences for the person (class imbalance, duplicates across given splits, …).
    """

    source: str
    kind: str
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    split_rule: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    duplicates: dict[str, Any] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Data:
    """Data ready to train on. ``test`` is None where there is none."""

    train: Split
    validation: Split
    test: Split | None
    preprocessing: Preprocessing
    target: Target
    card: DataCard
