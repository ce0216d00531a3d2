"""scikit-learn's models of texts: what stands beside Lamina's.

    python benchmarks/sklearn_texts.py TRAIN.csv TEST.csv TEXT TARGET MODEL [--seed S] [--quick]

prints the test scores and the seconds of preparation and fit as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

__all__ = ["MODELS", "measure"]

MODELS = {
    "words": "TF-IDF of words and pairs, logistic regression",
    "characters": "TF-IDF of 1 to 4 characters, logistic regression",
}
STRENGTHS = (1.0, 4.0, 16.0, 64.0)  # C of the logistic regression; a tenth of the training rows decides
WORD = r"\w+(?:['’]\w+)*|[^\w\s]"  # a word as Lamina reads it


def measure(
    train: pl.DataFrame, test: pl.DataFrame, text: str, target: str, model: str, seed: int = 0
) -> dict[str, Any]:
    """Fit one of `MODELS` on the training rows and score it on the test rows.

    Returns:
        "test": accuracy and macro f1; "confusion" (classes in order of their names); "classes"; "seconds"; "C".
    """
    began = time.perf_counter()
    x, y = train[text].to_numpy(), train[target].to_numpy()
    inner = train_test_split(x, y, test_size=0.1, random_state=seed, stratify=y)
    scores = {c: accuracy_score(inner[3], _fitted(model, c, inner[0], inner[2]).predict(inner[1])) for c in STRENGTHS}
    best = max(scores, key=scores.__getitem__)
    predicted = _fitted(model, best, x, y).predict(test[text].to_numpy())
    seconds = time.perf_counter() - began
    truth, classes = test[target].to_numpy(), sorted(set(y))
    return {
        "test": {
            "accuracy": float(accuracy_score(truth, predicted)),
            "f1": float(f1_score(truth, predicted, labels=classes, average="macro", zero_division=0)),
        },
        "confusion": confusion_matrix(truth, predicted, labels=classes).tolist(),
        "classes": classes,
        "seconds": round(seconds, 2),
        "C": best,
    }


def _fitted(model: str, strength: float, x: np.ndarray, y: np.ndarray) -> Any:
    words = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": WORD}
    characters = {"analyzer": "char_wb", "ngram_range": (1, 4), "lowercase": False}
    vectors = TfidfVectorizer(sublinear_tf=True, **(words if model == "words" else characters))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(vectors, LogisticRegression(C=strength, max_iter=200)).fit(x, y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("text")
    parser.add_argument("target")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    frames = [pl.read_csv(path, infer_schema=False).fill_null("") for path in (options.train, options.test)]
    print(json.dumps(measure(*frames, options.text, options.target, options.model, options.seed)))


if __name__ == "__main__":
    main()
