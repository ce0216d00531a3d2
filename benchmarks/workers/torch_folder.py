"""What one writes in PyTorch to have a folder of pictures classified. Started by predict_folder.py.

python -m workers.torch_folder NETWORK FOLDER --side 224 --workers 2 --threads 2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from networks import IMAGENET
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from workers.torch_trainer import made

BATCH = 64


class Pictures(Dataset[torch.Tensor]):
    """Pictures scaled to cover a square, and its centre cut out: uint8 ``(side, side, 3)``."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self.paths, self.side = paths, side

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            picture = image.convert("RGB")
        edge = min(picture.size)
        left, top = (picture.width - edge) / 2, (picture.height - edge) / 2
        box = (left, top, left + edge, top + edge)
        scaled = picture.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(scaled))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("folder", type=Path)
    for name in ("side", "workers", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = IMAGENET[options.network]
    model = made(network.layers, network.input_shape).eval().to(memory_format=torch.channels_last)
    suffixes = (".jpg", ".jpeg", ".png")
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in suffixes)
    answers = []
    with torch.inference_mode():
        for pixels in DataLoader(Pictures(paths, options.side), BATCH, num_workers=options.workers):
            x = (pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5
            best = torch.softmax(model(x), 1).max(1)
            answers += zip(best.indices.tolist(), best.values.tolist(), strict=True)
    rows = [
        {"input": str(path), "label": f"class {label}", "probability": p}
        for path, (label, p) in zip(paths, answers, strict=True)
    ]
    print(json.dumps({"predictions": rows}))


if __name__ == "__main__":
    main()
