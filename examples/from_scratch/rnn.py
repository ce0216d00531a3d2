"""A recurrent network in plain NumPy: forward through time, backward through time by hand.

    h_t = tanh(x_t Wx + h_(t-1) Wh + b),    z = h_T V + c,    loss = mean cross-entropy of softmax(z)

The same weights serve every step, so their gradient is a sum over all steps. The task: say which symbol came first.
"""

import numpy as np

Params = dict[str, np.ndarray]


def init(random: np.random.Generator, inputs: int, hidden: int, classes: int) -> Params:
    return {
        "Wx": random.normal(size=(inputs, hidden)) / np.sqrt(inputs),
        "Wh": np.linalg.qr(random.normal(size=(hidden, hidden)))[0],  # orthogonal: keeps what it remembers its size
        "b": np.zeros(hidden),
        "V": random.normal(size=(hidden, classes)) / np.sqrt(hidden),
        "c": np.zeros(classes),
    }


def forward(params: Params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States ``(time + 1, batch, hidden)``, the first all zero, and probabilities; x is ``(batch, time, inputs)``."""
    states = [np.zeros((len(x), len(params["b"])))]
    for t in range(x.shape[1]):
        states.append(np.tanh(x[:, t] @ params["Wx"] + states[-1] @ params["Wh"] + params["b"]))
    logits = states[-1] @ params["V"] + params["c"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.array(states), exponentials / exponentials.sum(axis=1, keepdims=True)


def loss(probabilities: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(np.log(probabilities[np.arange(len(y)), y])))


def backward(params: Params, x: np.ndarray, y: np.ndarray) -> Params:
    """The loss's gradient by every parameter: back-propagation through time."""
    states, probabilities = forward(params, x)
    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    error = (probabilities - np.eye(probabilities.shape[1])[y]) / len(x)
    gradients["V"], gradients["c"] = states[-1].T @ error, error.sum(axis=0)
    error = error @ params["V"].T  # at the last state
    for t in reversed(range(x.shape[1])):
        before_tanh = error * (1 - states[t + 1] ** 2)
        gradients["Wx"] += x[:, t].T @ before_tanh
        gradients["Wh"] += states[t].T @ before_tanh
        gradients["b"] += before_tanh.sum(axis=0)
        error = before_tanh @ params["Wh"].T  # at the state before
    return gradients


def clipped(gradients: Params, most: float = 0.5) -> Params:
    """The gradients, shortened together to a norm of ``most``: through many steps they may explode."""
    norm = np.sqrt(sum(np.sum(value**2) for value in gradients.values()))
    return {name: value * min(1.0, most / norm) for name, value in gradients.items()}


def main() -> None:
    random = np.random.default_rng(0)
    params = init(random, 4, 24, 4)
    for step in range(1501):
        symbols = random.integers(0, 4, (64, 10))
        x, y = np.eye(4)[symbols], symbols[:, 0]
        if step % 500 == 0:
            _, probabilities = forward(params, x)
            right = np.mean(probabilities.argmax(axis=1) == y)
            print(f"step {step:4}  loss {loss(probabilities, y):.3f}  first of ten symbols right {right:.1%}")
        gradients = clipped(backward(params, x, y))
        params = {name: value - 0.5 * gradients[name] for name, value in params.items()}


if __name__ == "__main__":
    main()
