"""The report of an auto-encoder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import lamina as lm
from lamina import report
from lamina.report.code_plots import plane, planes
from lamina.report.evidence import gather
from lamina.report.reconstructions import pixels
from lamina.train import Run


def trained(x: object, network: lm.Layer) -> Run:
    return lm.fit(network, lm.data.load(x, task="autoencode"), epochs=2, batch_size=256, progress=False)


@pytest.fixture(scope="module")
def run() -> Run:
    network = lm.Autoencoder(
        lm.Sequential(lm.Flatten(), lm.Dense(3)), lm.Sequential(lm.Dense(64), lm.sigmoid, lm.Reshape((8, 8, 1)))
    )
    return trained("digits", network)


def test_pictures_are_shown_above_their_reconstructions_with_errors_and_codes(run: Run, tmp_path: Path) -> None:
    report.write(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[:6] == ["Learning curves", "Reconstructions", "Errors", "Metrics", "Worst reconstructed", "Codes"]
    assert page.count("Original of") == page.count("Reconstruction of") == 24
    assert "Auto-encoder" in page
    assert "first two principal components of the 3 units" in page
    assert "coloured by class" in page


def test_the_errors_are_those_of_the_metric_and_the_worst_come_first(run: Run, tmp_path: Path) -> None:
    found = gather(run, None)
    assert found is not None
    assert found.error.mean() == pytest.approx(run.test["squared_error"].value, rel=1e-5)
    report.write(run, tmp_path / "report.html")
    worst = (tmp_path / "report.html").read_text().split('id="worst"')[1].split("</section>")[0]
    names = re.findall(r'alt="Original of ([^"]*)"', worst)
    assert names == [found.name(index) for index in np.argsort(-found.error, kind="stable")[:12]]


def test_vectors_are_shown_in_a_table(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    run = trained(x, lm.Autoencoder(lm.Dense(2), lm.Dense(5)))
    report.write(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Furthest off" in page
    assert "The 2 units of the code" in page
    assert "without classes" in page


def test_a_network_without_a_code_has_a_report_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 5))
    run = trained(x, lm.Sequential(lm.Dense(2), lm.Dense(5)))
    report.write(run, tmp_path / "report.html")
    assert "<h2>Codes</h2>" not in (tmp_path / "report.html").read_text()


def test_values_become_pixels_by_the_preprocessing_or_by_each_inputs_range() -> None:
    images = lm.data.load(np.random.default_rng(0).integers(0, 256, (40, 5, 4), np.uint8), task="autoencode")
    values = np.asarray([-0.5, 0.0, 0.5, 2.0] * 5).reshape(1, 5, 4, 1)
    assert pixels(values, values, images.preprocessing)[0, 0, :, 0].tolist() == [0, 0, 128, 255]
    arrays = lm.data.load(np.random.default_rng(0).normal(size=(40, 5, 4, 1)), task="autoencode")
    assert pixels(values, values, arrays.preprocessing)[0, 0, :, 0].tolist() == [0, 51, 102, 255]


def test_codes_of_many_units_are_projected_onto_their_principal_components() -> None:
    from sklearn.decomposition import PCA

    codes = np.random.default_rng(0).normal(size=(50, 6)) @ np.diag([5.0, 3.0, 1, 1, 1, 1])
    theirs = PCA(2).fit_transform(codes)
    np.testing.assert_allclose(np.abs(plane(codes)), np.abs(theirs), atol=1e-8)
    np.testing.assert_array_equal(plane(codes[:, :2]), codes[:, :2])
    assert plane(codes[:, :1]).shape == (50, 2)


def test_classes_have_their_colour_and_name_up_to_twenty() -> None:
    points, labels = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    few = planes({"a": points, "b": points}, labels, ("x", "y", "z"))
    assert [len(axes.lines) for axes in few.axes] == [3, 3]
    assert sorted(text.get_text() for text in few.axes[0].texts) == ["x", "y", "z"]
    many = planes({"a": points}, labels, tuple(map(str, range(30))))
    assert len(many.axes[0].lines) == 1
    assert not many.axes[0].texts


def test_points_far_from_all_others_leave_the_rest_its_room() -> None:
    random = np.random.default_rng(0)
    together = random.uniform(-1, 1, size=(1000, 2))
    flat = np.stack([together[:, 0], np.zeros(1000)], axis=1)
    flat[0, 1] = 5.0
    figure = planes({"even": together, "far": np.concatenate([together, [[100.0, -80.0]]])[1:], "flat": flat})
    even, far, line = (np.asarray(axes.lines[0].get_xydata()) for axes in figure.axes)
    np.testing.assert_array_equal(even, together)
    np.testing.assert_array_equal(far[:-1], together[1:])
    assert 1 < far[-1, 0] < 2
    assert -2 < far[-1, 1] < -1
    np.testing.assert_array_equal(line, flat)
