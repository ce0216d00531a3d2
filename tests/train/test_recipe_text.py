"""What is chosen for texts: rare classes count more, where there are any; bfloat16, where the CPU is made for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lamina as lm
from lamina.kernels import native
from lamina.losses import SoftmaxCrossEntropy
from lamina.train.recipes import choose

NAMES = ["anna", "bert", "cleo", "dora", "emil", "fritz", "gerda", "hanna", "ida", "jan", "karl", "lena", "max", "nora"]


def names(counts: dict[str, int], tokens: str = "characters") -> lm.data.Data:
    """So many made-up names of each class."""
    texts = [f"{NAMES[i % 14]}{NAMES[i // 14]}{label}" for label, count in counts.items() for i in range(count)]
    labels = [label for label, count in counts.items() for _ in range(count)]
    return lm.data.load((texts, labels), tokens=tokens)


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_rare_classes_count_more_by_the_root_of_how_rare_they_are(tokens: str) -> None:
    data = names({"a": 120, "b": 30}, tokens)
    recipe = choose(data)
    assert isinstance(recipe.loss, SoftmaxCrossEntropy)
    assert recipe.loss.class_weights is not None
    counts = np.bincount(data.train.targets)
    common, rare = recipe.loss.class_weights
    assert rare / common == pytest.approx(np.sqrt(counts[0] / counts[1]))
    assert "Rare classes" in " ".join(recipe.reasons)


def test_classes_that_are_about_as_frequent_count_the_same() -> None:
    recipe = choose(names({"a": 80, "b": 60}))
    assert recipe.loss is None
    assert "Rare classes" not in " ".join(recipe.reasons)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "f32")])
def test_a_book_is_read_in_bfloat16_where_that_is_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, precision: str
) -> None:
    monkeypatch.setattr(native, "fast_bfloat16", lambda: fast)
    (tmp_path / "book.txt").write_text("".join(f"line {n} of a book\n" for n in range(400)))
    recipe = choose(lm.data.load(tmp_path / "book.txt", task="generate"))
    assert recipe.precision == precision
    assert ("Computed in bfloat16" in " ".join(recipe.reasons)) == fast
