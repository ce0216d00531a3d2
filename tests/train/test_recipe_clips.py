"""The networks that are chosen for sounds and videos fit whatever length, rate and size these have."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lamina.data.base import ArraySplit, ClassTarget, Data, DataCard, Preprocessing
from lamina.data.sound import plan_sounds
from lamina.data.sound_files import SoundHeader
from lamina.data.video_preprocessing import VideoPreprocessing
from lamina.layers import LSTM, GlobalAvgPool, Layer
from lamina.train.recipes import choose


def data(preprocessing: Preprocessing, examples: int = 40) -> Data:
    split = ArraySplit(np.zeros((examples, 1)), np.zeros(examples, np.int32))
    return Data(split, split, None, preprocessing, ClassTarget(("a", "b", "c")), DataCard("x", preprocessing.kind))


def layers(network: Layer) -> list[Layer]:
    return [network, *(inner for _, part in network.parts() for inner in layers(part))]


@pytest.mark.parametrize(("rate", "seconds"), [(4000, 0.01), (8000, 0.6), (44100, 30.0)])
def test_sounds_of_any_length_and_rate(rate: int, seconds: float) -> None:
    own = plan_sounds([SoundHeader(rate, max(round(rate * seconds), 1), 1, "16-bit")])
    recipe = choose(data(own))
    assert recipe.network.out_spec(own.input_spec()).shape == (3,)
    assert any(isinstance(layer, GlobalAvgPool) for layer in layers(recipe.network))
    augmented = jax.eval_shape(
        lambda x: recipe.augmentation(jax.random.key(0), x),  # type: ignore[misc]
        jax.ShapeDtypeStruct((4, *own.input_spec().shape), "float32"),
    )
    assert augmented.shape[1:] == own.input_spec().shape


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (4, 8, 8, 1), (8, 28, 28, 1), (16, 64, 48, 3), (3, 200, 90, 3)])
def test_videos_of_any_size(shape: tuple[int, int, int, int]) -> None:
    own = VideoPreprocessing(*shape, (0.0,) * shape[3], (1.0,) * shape[3])
    recipe = choose(data(own))
    assert recipe.network.out_spec(own.input_spec()).shape == (3,)
    assert any(isinstance(layer, LSTM) for layer in layers(recipe.network))
    assert "no mirroring" in " ".join(recipe.reasons)


def test_few_examples_are_seen_more_often() -> None:
    own = plan_sounds([SoundHeader(8000, 5000, 1, "16-bit")])
    assert choose(data(own, 100)).epochs > choose(data(own, 2500)).epochs
