"""Errors: their parents, their sentences."""

from __future__ import annotations

import pytest

from lamina import errors
from lamina.errors import LaminaError, ShapeError, nearest


@pytest.mark.parametrize(
    ("cls", "parent"),
    [
        ("ConfigError", ValueError),
        ("DataError", ValueError),
        ("ModelFileError", ValueError),
        ("TrainingError", RuntimeError),
    ],
)
def test_every_error_has_a_builtin_parent_and_its_hint_in_its_text(cls, parent):
    error = getattr(errors, cls)("It is wrong.", "Mend it.")
    assert isinstance(error, parent)
    assert isinstance(error, LaminaError)
    assert str(error) == "It is wrong. Mend it."


def test_a_shape_error_tells_where():
    assert str(ShapeError("too small.").at("body.conv1")) == "layer 'body.conv1': too small."


def test_nearest_offers_what_is_alike_or_lists_all():
    assert nearest("adm", ["adam", "sgd"]) == "Did you mean 'adam'?"
    assert nearest("zzz", ["adam", "sgd"]) == "Known: adam, sgd."
