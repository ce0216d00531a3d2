"""From the rows of a table to the numbers that a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import polars as pl

from lamina.data.base import Inputs, Preprocessing
from lamina.data.table_columns import CategoryColumn, Column, DateColumn, NumberColumn, as_numbers
from lamina.data.table_read import Table, read_table
from lamina.errors import DataError, nearest
from lamina.layers.base import Spec, spec

__all__ = ["TablePreprocessing"]

_SHOWN = 5


@dataclass(frozen=True, repr=False)
class TablePreprocessing(Preprocessing):
    """A row as one vector: scaled numbers, their piecewise-linear encoding, what is missing, and one-hot categories.

    The piecewise-linear encoding of a number x over bins with edges b₀ < b₁ < … is, bin by bin,
    ``clip((x - bᵢ) / (bᵢ₊₁ - bᵢ), 0, 1)``: a network then learns steps and bends in a single column as easily as
    slopes.

    Source: Gorishniy, Rubachev, Babenko 2022, "On embeddings for numerical features in tabular deep learning",
    arXiv:2203.05556. Departures: the first and last bins are clipped, too; the plain scaled number (clipped to
    ``limit``) stands beside the bins and carries what lies outside of them.

    Attributes:
        columns: what is read, in the order of the training table.
        target: the column that the model predicts; it may be there at prediction, and is then not looked at.
        ignored: columns of the training table that were of no use; they may be there, too.
        limit: scaled numbers are clipped to this many spreads on either side; None for no limit.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    target: str
    ignored: tuple[str, ...] = ()
    limit: float | None = None

    @property
    def numbers(self) -> tuple[NumberColumn, ...]:
        """All numeric inputs, the parts of dates included."""
        parts = [column.parts if isinstance(column, DateColumn) else (column,) for column in self.columns]
        return tuple(part for group in parts for part in group if isinstance(part, NumberColumn))

    @property
    def categories(self) -> tuple[CategoryColumn, ...]:
        return tuple(column for column in self.columns if isinstance(column, CategoryColumn))

    def encode(self, raw: Any) -> dict[str, np.ndarray]:
        """Rows → {"numbers": float32 ``(n, k)``, "missing": float32 0/1 ``(n, m)``, "categories": int32 ``(n, c)``}.

        Args:
            raw: the path of a `.csv` or `.parquet` file, a frame, a mapping of columns, or a list of mappings (rows).

        Raises:
            DataError: for a column that is missing or was not there in training.
        """
        return self.encode_frame(self.read(raw).frame)

    def encode_frame(self, frame: pl.DataFrame) -> dict[str, np.ndarray]:
        """`encode` for a frame that `read` returned."""
        numbers: list[np.ndarray] = []
        missing: list[np.ndarray] = []
        for column in self.columns:
            for part, piece in _numeric(column, frame[column.name]):
                scaled, absent = part.encode(piece)
                numbers.append(scaled if self.limit is None else np.clip(scaled, -self.limit, self.limit))
                if part.indicator:
                    missing.append(absent)
        codes = [column.encode(frame[column.name]) for column in self.categories]
        encoded: dict[str, np.ndarray] = {}
        if numbers:
            encoded["numbers"] = np.stack(numbers, axis=1)
        if missing:
            encoded["missing"] = np.stack(missing, axis=1).astype(np.float32)
        if codes:
            encoded["categories"] = np.stack(codes, axis=1)
        return encoded

    def transform(self, x: dict[str, Any]) -> Any:
        """Encoded rows → float32 ``(n, features)``."""
        pieces = []
        if "numbers" in x:
            pieces.append(jnp.asarray(x["numbers"]))
            bins = [
                (index, low, high)
                for index, column in enumerate(self.numbers)
                for low, high in zip(column.edges[:-1], column.edges[1:], strict=True)
            ]
            if bins:
                which, low, high = (np.asarray(part) for part in zip(*bins, strict=True))
                width = (high - low).astype(np.float32)
                pieces.append(jnp.clip((pieces[0][:, which] - low.astype(np.float32)) / width, 0.0, 1.0))
        if "missing" in x:
            pieces.append(jnp.asarray(x["missing"]))
        if "categories" in x:
            widths = [column.width for column in self.categories]
            which = np.repeat(np.arange(len(widths)), widths)
            code = np.concatenate([np.arange(width, dtype=np.int32) for width in widths])
            pieces.append((jnp.asarray(x["categories"])[:, which] == code).astype(jnp.float32))
        return jnp.concatenate(pieces, axis=1)

    def input_spec(self) -> Spec:
        numbers = sum(1 + max(0, len(column.edges) - 1) + column.indicator for column in self.numbers)
        return spec((numbers + sum(column.width for column in self.categories),))

    def gather(self, arguments: Sequence[str]) -> Inputs:
        """CSV and Parquet files, or "-" for CSV on standard input; one input a row."""
        wanted = [column.name for column in self.columns]
        names: list[str] = []
        frames: list[pl.DataFrame] = []
        remarks: list[str] = []
        for argument in arguments:
            frame = self.read(argument).frame.select(wanted)
            frames.append(frame)
            remarks += [f"{argument}: {remark}" for remark in self.remarks(frame)]
            names += [f"{argument} row {row + 1}" for row in range(frame.height)]
        return Inputs(tuple(names), pl.concat(frames, how="vertical_relaxed"), warnings=tuple(remarks))

    def read(self, raw: Any) -> Table:
        """The columns that the model reads, in its order, and the target where it is there.

        Raises:
            DataError: for a column that is missing or was not there in training.
        """
        wanted = [column.name for column in self.columns]
        table = read_table(raw, names=[*wanted, *self.ignored])
        found = table.frame.columns
        absent = [name for name in wanted if name not in found]
        extra = [name for name in found if name not in {*wanted, *self.ignored, self.target}]
        needs = f"The model reads {', '.join(wanted)}."
        if absent:
            plural = "column" if len(absent) == 1 else "columns"
            hint = nearest(absent[0], extra) if extra else needs
            raise DataError(f"{table.source} lacks the {plural} {_listed(absent)}, which the model needs.", hint)
        if extra:
            plural = "a column that was" if len(extra) == 1 else "columns that were"
            raise DataError(
                f"{table.source} has {plural} not there in training: {_listed(extra)}.", f"Leave it out. {needs}"
            )
        rest = [self.target] if self.target in found else []
        return Table(table.frame.select([*wanted, *rest]), table.source, table.header)

    def remarks(self, frame: pl.DataFrame) -> list[str]:
        """Sentences on what a frame from `read` holds that training did not: new categories, text for numbers."""
        remarks = []
        for column in self.columns:
            series = frame[column.name]
            if isinstance(column, CategoryColumn):
                new = column.unseen(series)
                if new:
                    instead = "as a rare value" if column.rare else "as no value at all"
                    plural = "a value" if len(new) == 1 else f"{len(new)} values"
                    remarks.append(
                        f"{column.name!r} has {plural} not seen in training, {_listed(new)}; taken {instead}."
                    )
            elif isinstance(column, NumberColumn):
                broken = int((np.isnan(as_numbers(series)) & ~series.is_null().to_numpy()).sum())
                if broken:
                    remarks.append(f"{column.name!r} has {broken} values that are no numbers; taken as missing.")
        return remarks


def _numeric(column: Column, series: pl.Series) -> list[tuple[NumberColumn, pl.Series]]:
    if isinstance(column, DateColumn):
        return list(zip(column.parts, column.split(series), strict=True))
    return [(column, series)] if isinstance(column, NumberColumn) else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
