"""Dense against convolutional on shifted digits: why dense networks generalise poorly over position.

Both learn digits at the centre of a 16 × 16 canvas. They are tested on unseen digits moved by 0 to 4 pixels. To a dense
network a moved digit is new: each pixel has weights of its own. A convolution uses the same weights everywhere, and the
maximum over all places at its end forgets where.
"""

import numpy as np

import lamina as lm

SHIFTS = range(5)

dense = lm.Sequential(lm.Flatten(), lm.Dense(128), lm.relu, lm.Dense(128), lm.relu, lm.Dense(10))
convolutional = lm.Sequential(
    *(lm.Conv(32, 3), lm.relu),
    *(lm.Conv(64, 3), lm.relu),
    *(lm.Conv(64, 3), lm.relu),
    *(lm.GlobalMaxPool(), lm.Dense(10)),
)


def on_canvas(pictures: np.ndarray, shift: int, seed: int = 0) -> np.ndarray:
    """Pictures ``(n, 8, 8, 1)`` on a 16 × 16 canvas, each ``shift`` pixels off its centre on both axes."""
    offsets = 4 + shift * np.random.default_rng(seed).choice([-1, 1], (len(pictures), 2))
    canvas = np.zeros((len(pictures), 16, 16, 1), pictures.dtype)
    for picture, place, (top, left) in zip(pictures, canvas, offsets, strict=True):
        place[top : top + 8, left : left + 8] = picture
    return canvas


def main(epochs: int = 6) -> dict[str, list[float]]:
    digits = lm.data.load("digits")
    parts = {}
    for name, split in (("train", digits.train), ("validation", digits.validation)):
        parts[name] = (on_canvas(split.read(np.arange(len(split))), 0), split.targets)
    unseen = digits.test.read(np.arange(len(digits.test)))

    table = {}
    for name, network in (("dense", dense), ("convolutional", convolutional)):
        model = lm.fit(network, parts, epochs=epochs, seed=0).model
        answers = [model.predict(on_canvas(unseen, shift)).probabilities.argmax(axis=1) for shift in SHIFTS]
        table[name] = [float(np.mean(answer == digits.test.targets)) for answer in answers]

    print("accuracy on digits moved by".ljust(34), *(f"{shift} px".rjust(7) for shift in SHIFTS))
    for name, network in (("dense", dense), ("convolutional", convolutional)):
        parameters = f"{name}, {network.count_parameters((16, 16, 1)):,} parameters"
        print(parameters.ljust(34)[:34], *(f"{accuracy:7.1%}" for accuracy in table[name]))
    return table


if __name__ == "__main__":
    main()
