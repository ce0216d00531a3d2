"""Random changes of videos, made inside the compiled step: each video draws its own, the same for all its frames."""

from __future__ import annotations

from dataclasses import dataclass

from lamina.data.augment import Array, Augmentation
from lamina.errors import ConfigError

__all__ = ["Framewise"]


@dataclass(frozen=True, repr=False)
class Framewise(Augmentation):
    """A picture's augmentation, the same change on every frame of a video ``(n, frames, height, width, channels)``.

    The frames lie side by side as channels while it is made, so that what it draws for a picture holds for a video.
    It suits what moves pixels about (`Shift`, `Affine`, `Cutout`); what looks at colours takes frames for colours.

    Attributes:
        change: of pictures.
    """

    change: Augmentation

    def __post_init__(self) -> None:
        if not isinstance(self.change, Augmentation):
            raise ConfigError(
                f"Framewise takes an augmentation of pictures such as Shift(). Received: {self.change!r}."
            )

    def __call__(self, key: Array, x: Array) -> Array:
        n, frames, height, width, channels = x.shape
        pictures = x.transpose(0, 2, 3, 1, 4).reshape(n, height, width, frames * channels)
        changed = self.change(key, pictures).reshape(n, height, width, frames, channels)
        return changed.transpose(0, 3, 1, 2, 4)
