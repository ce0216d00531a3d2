"""One neuron in plain NumPy: y = σ(w·x + b), trained by gradient descent on the cross-entropy.

Its error at the output is simply ŷ - y, and the gradient of a weight is that error times the weight's input.
"""

import numpy as np


def forward(weights: np.ndarray, bias: float, x: np.ndarray) -> np.ndarray:
    """Probabilities ``(batch,)`` for inputs ``(batch, inputs)``."""
    return 1 / (1 + np.exp(-(x @ weights + bias)))


def loss(predicted: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy against targets 0 and 1."""
    return float(-np.mean(y * np.log(predicted) + (1 - y) * np.log(1 - predicted)))


def gradients(predicted: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """The loss's gradient by the weights and by the bias."""
    error = (predicted - y) / len(x)
    return x.T @ error, float(error.sum())


def train(x: np.ndarray, y: np.ndarray, rate: float = 1.0, steps: int = 500) -> tuple[np.ndarray, float]:
    weights, bias = np.zeros(x.shape[1]), 0.0
    for _ in range(steps):
        by_weights, by_bias = gradients(forward(weights, bias, x), x, y)
        weights, bias = weights - rate * by_weights, bias - rate * by_bias
    return weights, bias


def main() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    for name, y in (("and", [0, 0, 0, 1]), ("or", [0, 1, 1, 1]), ("xor", [0, 1, 1, 0])):
        weights, bias = train(x, np.array(y))
        predicted = forward(weights, bias, x)
        right = np.sum((predicted > 0.5) == np.array(y))
        print(f"{name:3}  loss {loss(predicted, np.array(y)):.3f}, {right} of 4 right")
    print("No straight line parts xor: it takes a network.")


if __name__ == "__main__":
    main()
