"""Which way does the digit move? Video clips by class, learned by a convolutional network under an LSTM.

    python examples/moving_digits.py [--mnist FOLDER] [--out CLIPS] [--directions 4|8] [--clips N] [--quick]

It writes a folder a direction of animated GIFs, in each of which one digit moves across a dark picture, and learns to
tell the direction from the folder: `lamina train CLIPS` does the same. Beside it stands a network that sees one frame
of each clip. A still picture does not say which way things move, so it can only guess.

The digits are those that come with Lamina, or MNIST's: --mnist names a folder with its IDX files. No digit is in
both the training and the test clips.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import lamina as lm

FRAMES, SIDE = 8, 28
WAYS = {
    "right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0),
    "down-right": (1, 1), "down-left": (1, -1), "up-right": (-1, 1), "up-left": (-1, -1),
}  # fmt: skip


def digits(mnist: Path | None) -> dict[str, np.ndarray]:
    """Pictures of digits by part, each uint8 ``(n, 14, 14)``."""
    data = lm.data.load(str(mnist) if mnist else "digits")
    found = {}
    for part, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        assert split is not None
        pictures = np.asarray(split.read(np.arange(min(len(split), 2000))), np.float64)[..., 0]
        pictures = pictures * (255 / pictures.max())
        small = [Image.fromarray(picture.astype(np.uint8)).resize((14, 14)) for picture in pictures]
        found[part] = np.stack([np.asarray(picture) for picture in small])
    return found


def clip(picture: np.ndarray, way: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """One digit on its way, uint8 ``(FRAMES, SIDE, SIDE)``: at a random place halfway, at 1 to 1.5 pixels a frame."""
    middle = random.uniform(4, SIDE - 14 - 4, 2)
    speed = random.uniform(1.0, 1.5)
    frames = np.zeros((FRAMES, SIDE, SIDE), np.uint8)
    for time, frame in enumerate(frames):
        place = middle + speed * (time - (FRAMES - 1) / 2) * np.asarray(way)
        top, left = np.clip(np.rint(place), 0, SIDE - 14).astype(int)
        frame[top : top + 14, left : left + 14] = picture
    return frames


def write_clips(folder: Path, pictures: dict[str, np.ndarray], ways: list[str], clips: int, seed: int = 0) -> None:
    """A GIF for each of ``clips`` training digits in every direction, a quarter as many for the other parts."""
    random = np.random.default_rng(seed)
    for part, own in pictures.items():
        for way in ways:
            place = folder / part / way
            place.mkdir(parents=True, exist_ok=True)
            for number in range(clips if part == "train" else max(clips // 4, 2)):
                frames = clip(own[random.integers(len(own))], WAYS[way], random)
                first, *others = [Image.fromarray(frame) for frame in frames]
                first.save(place / f"{number:04}.gif", save_all=True, append_images=others, duration=80, loop=0)


def still(data: lm.data.Data) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The same clips with one frame of each, drawn at random."""
    random = np.random.default_rng(0)
    parts = {}
    for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        assert split is not None
        frames = split.read(np.arange(len(split)))
        parts[name] = (frames[np.arange(len(frames)), random.integers(FRAMES, size=len(frames))], split.targets)
    return parts


def main(
    mnist: Path | None = None, out: Path | None = None, directions: int = 4, clips: int = 400, *, quick: bool = False
) -> dict[str, float]:
    ways = list(WAYS)[:directions]
    with tempfile.TemporaryDirectory() as scratch:
        folder = out or Path(scratch)
        write_clips(folder, digits(mnist), ways, 60 if quick else clips)
        data = lm.data.load(folder)
        run = lm.fit("auto", data, epochs=12 if quick else None, seed=0)
        picture = lm.fit("auto", still(data), epochs=4 if quick else 12, seed=0)

        accuracies = {"clip": run.test["accuracy"].value, "one frame": picture.test["accuracy"].value}
        print(f"{len(data.train)} clips of {FRAMES} frames to learn from, {len(data.test)} to test on")
        for name, accuracy in accuracies.items():
            print(f"{name:<10} {accuracy:7.1%}")
        print(f"{'guessing':<10} {1 / directions:7.1%}")
        shown = folder / "test" / ways[-1] / "0000.gif"
        answer = run.model.predict(shown)
        print(f"{ways[-1]}/0000.gif moves {answer.labels[0]} ({answer.probabilities.max():.1%})")
    return accuracies


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, metavar="FOLDER", help="MNIST's IDX files; default: Lamina's own digits")
    parser.add_argument("--out", type=Path, metavar="CLIPS", help="write the clips there, and keep them")
    parser.add_argument("--directions", type=int, choices=(4, 8), default=4)
    parser.add_argument("--clips", type=int, default=400, metavar="N", help="training clips a direction")
    parser.add_argument("--quick", action="store_true", help="few clips, few epochs")
    options = parser.parse_args()
    main(options.mnist, options.out, options.directions, options.clips, quick=options.quick)
