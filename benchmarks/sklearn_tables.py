"""scikit-learn's models of tables: what stands beside Lamina's.

    python benchmarks/sklearn_tables.py TRAIN.csv TEST.csv TARGET MODEL [--seed S] [--iterations N]

prints the test score and the seconds of preparation and fit as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

__all__ = ["MODELS", "Table", "measure", "read"]

MODELS = {
    "mlp": "scikit-learn MLP, scaled",
    "mlp-early": "scikit-learn MLP, scaled, early stopping",
    "boosting": "scikit-learn HistGradientBoosting",
}


@dataclass(frozen=True)
class Table:
    """Rows for training and testing: numbers and categories apart, as (train, test) pairs."""

    numbers: tuple[np.ndarray, np.ndarray]
    categories: tuple[np.ndarray, np.ndarray]
    targets: tuple[np.ndarray, np.ndarray]

    @property
    def classify(self) -> bool:
        return self.targets[0].dtype.kind not in "if"


def read(train: Path, test: Path, target: str) -> Table:
    """Two CSV files with the same columns. A missing category is a category; a missing number the column's median."""
    frames = [pl.read_csv(path) for path in (train, test)]
    columns = [name for name in frames[0].columns if name != target]
    numeric = [name for name in columns if frames[0].schema[name].is_numeric()]
    others = [name for name in columns if name not in numeric]
    medians = [frames[0][name].median() for name in numeric]
    numbers, categories, targets = [], [], []
    for frame in frames:
        filled = [frame[name].fill_null(median) for name, median in zip(numeric, medians, strict=True)]
        numbers.append(np.stack([column.to_numpy().astype(np.float64) for column in filled], axis=1))
        words = [frame[name].cast(pl.String).fill_null("?").to_numpy() for name in others]
        categories.append(np.stack(words, axis=1).astype(object) if words else np.empty((len(frame), 0), object))
        values = frame[target].to_numpy()
        targets.append(values if values.dtype.kind in "if" else values.astype(str))
    return Table((numbers[0], numbers[1]), (categories[0], categories[1]), (targets[0], targets[1]))


def measure(table: Table, model: str, seed: int, iterations: int | None = None) -> dict[str, Any]:
    """Fit one of `MODELS` and score it on the test rows.

    The MLPs have scikit-learn's own settings (one hidden layer of 100, at most 200 epochs) on standardised numbers and
    one-hot categories, and a standardised target in regression; boosting takes categories as such.

    Args:
        iterations: at most so many, in place of scikit-learn's own number.

    Returns:
        "test": accuracy and auc, or r2 and mae; "seconds" of preparation and fit; "iterations".
    """
    began = time.perf_counter()
    if model == "boosting":
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(table.categories[0])
        x = [
            np.hstack([numbers, encoder.transform(categories)])
            for numbers, categories in zip(table.numbers, table.categories, strict=True)
        ]
        categorical = list(range(table.numbers[0].shape[1], x[0].shape[1]))
        make = HistGradientBoostingClassifier if table.classify else HistGradientBoostingRegressor
        estimator = make(categorical_features=categorical, random_state=seed, max_iter=iterations or 100)
    else:
        scaler = StandardScaler().fit(table.numbers[0])
        one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(table.categories[0])
        x = [
            np.hstack([scaler.transform(numbers), one_hot.transform(categories)]).astype(np.float32)
            for numbers, categories in zip(table.numbers, table.categories, strict=True)
        ]
        options = {"early_stopping": model == "mlp-early", "random_state": seed, "max_iter": iterations or 200}
        if table.classify:
            estimator = MLPClassifier(**options)
        else:
            estimator = TransformedTargetRegressor(MLPRegressor(**options), transformer=StandardScaler())
    y = table.targets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its number of epochs is part of what is measured
        estimator.fit(x[0], y[0] if table.classify else y[0].astype(np.float64))
    seconds = time.perf_counter() - began
    fitted = getattr(estimator, "regressor_", estimator)
    if table.classify:
        scores = estimator.predict_proba(x[1])
        test = {"accuracy": float(accuracy_score(y[1], estimator.classes_[np.argmax(scores, axis=1)]))}
        if scores.shape[1] == 2:
            test["auc"] = float(roc_auc_score(y[1] == estimator.classes_[1], scores[:, 1]))
    else:
        values = estimator.predict(x[1])
        test = {"r2": float(r2_score(y[1], values)), "mae": float(mean_absolute_error(y[1], values))}
    return {"test": test, "seconds": round(seconds, 2), "iterations": int(fitted.n_iter_)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("target")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int)
    options = parser.parse_args()
    table = read(options.train, options.test, options.target)
    print(json.dumps(measure(table, options.model, options.seed, options.iterations)))


if __name__ == "__main__":
    main()
