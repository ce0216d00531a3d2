"""A Rosenblatt perceptron on two scanned digits, and its rule as what gradient descent on its criterion does.

The perceptron's criterion max(0, -s z), with s = +1 or -1 and z = w·x + b, has the gradient -s x wherever the answer
is wrong and zero where it is right. One step of gradient descent with rate 1 is therefore Rosenblatt's rule: add s x
to the weights after each mistake. On data that a plane can part, the mistakes end (Novikoff 1962).
"""

import jax
import jax.numpy as jnp
import numpy as np

import lamina as lm

EPOCHS = 25


def two_digits(first: int = 1, second: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Pictures as rows of 64 numbers from 0 to 16, with targets 0 and 1."""
    train = lm.data.load("digits").train
    chosen = np.isin(train.targets, (first, second))
    pictures = train.read(np.flatnonzero(chosen)).reshape(-1, 64)
    return np.round(pictures * (16 / 255)).astype(np.float32), (train.targets[chosen] == second).astype(np.int32)


def by_gradient(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Weights after the last epoch, and the mistakes of each epoch."""
    network = lm.Dense(1, kernel_init=lm.initializers.Zeros())
    params, state = network.init(jax.random.key(0), x.shape[1:])
    criterion = lm.losses.Hinge(margin=0)
    optimizer = lm.optim.SGD().build(params)  # its updates are those for a rate of 1
    memory = optimizer.init(params)

    def step(params, example):
        def loss(params):
            scores, _ = network.apply(params, state, example[0][None])
            return criterion(scores, example[1][None]), scores[0, 0]

        (_, score), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, _ = optimizer.update(gradient, memory, params)
        wrong = jnp.where(example[1] == 1, score <= 0, score >= 0)
        return jax.tree.map(jnp.add, params, updates), wrong

    epoch = jax.jit(lambda params, order: jax.lax.scan(step, params, (jnp.asarray(x)[order], jnp.asarray(y)[order])))
    mistakes = []
    for order in orders:
        params, wrong = epoch(params, jnp.asarray(order))
        mistakes.append(int(wrong.sum()))
    return np.append(params["kernel"][:, 0], params["bias"]), mistakes


def by_rule(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Rosenblatt's rule by hand."""
    weights = np.zeros(x.shape[1] + 1, np.float32)
    for order in orders:
        for i in order:
            example, sign = np.append(x[i], 1), 2 * y[i] - 1
            if sign * (weights @ example) <= 0:
                weights += sign * example
    return weights


def main() -> None:
    x, y = two_digits()
    random = np.random.default_rng(0)
    orders = np.array([random.permutation(len(x)) for _ in range(EPOCHS)])
    weights, mistakes = by_gradient(x, y, orders)
    print(f"mistakes in each epoch over {len(x)} pictures of 1 and 8: {', '.join(map(str, mistakes))}")
    print(f"weights equal to those of Rosenblatt's rule: {np.array_equal(weights, by_rule(x, y, orders))}")


if __name__ == "__main__":
    main()
