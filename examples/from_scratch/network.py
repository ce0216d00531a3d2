"""A network with one hidden layer in plain NumPy: forward, backward by hand, gradient descent.

    h = relu(x W1 + b1),    z = h W2 + b2,    loss = mean cross-entropy of softmax(z)

Backward, the chain rule runs the same way in reverse: each layer hands the error at its output on to its input.
"""

import numpy as np

Params = dict[str, np.ndarray]


def init(random: np.random.Generator, inputs: int, hidden: int, classes: int) -> Params:
    return {
        "W1": random.normal(size=(inputs, hidden)) * np.sqrt(2 / inputs),
        "b1": np.zeros(hidden),
        "W2": random.normal(size=(hidden, classes)) * np.sqrt(1 / hidden),
        "b2": np.zeros(classes),
    }


def forward(params: Params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden activations ``(batch, hidden)`` and class probabilities ``(batch, classes)``."""
    hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
    logits = hidden @ params["W2"] + params["b2"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)


def loss(probabilities: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(np.log(probabilities[np.arange(len(y)), y])))


def backward(params: Params, x: np.ndarray, y: np.ndarray) -> Params:
    """The loss's gradient by every parameter."""
    hidden, probabilities = forward(params, x)
    error = (probabilities - np.eye(probabilities.shape[1])[y]) / len(x)  # at the logits: ŷ - y
    hidden_error = (error @ params["W2"].T) * (hidden > 0)
    return {
        "W1": x.T @ hidden_error,
        "b1": hidden_error.sum(axis=0),
        "W2": hidden.T @ error,
        "b2": error.sum(axis=0),
    }


def main() -> None:
    random = np.random.default_rng(0)
    angle = random.uniform(0, np.pi, 400)
    y = random.integers(0, 2, 400)  # two moons, one turned into the other
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 1, [1.0, 0.5] - x, x) + random.normal(size=x.shape) * 0.1
    params = init(random, 2, 16, 2)
    for step in range(2001):
        if step % 500 == 0:
            _, probabilities = forward(params, x)
            right = np.mean(probabilities.argmax(axis=1) == y)
            print(f"step {step:4}  loss {loss(probabilities, y):.3f}  right {right:.1%}")
        gradients = backward(params, x, y)
        params = {name: value - 0.5 * gradients[name] for name, value in params.items()}


if __name__ == "__main__":
    main()
