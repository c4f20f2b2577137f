"""Spectra of a page: within their budget, and what they say is what was measured."""

from __future__ import annotations

import base64
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

from sciddm.pipelines.engine.report.spectra import Spectra, sampling_step, spectra_block


def scene(bands: int, side: int, deviation: bool = True) -> Spectra:
    rng = np.random.default_rng(0)
    estimate = rng.normal(1, 0.2, (bands, side, side))
    places = np.arange(side)
    return Spectra(
        "Spectra", np.zeros((8, 8, 3)), places, places, (side, side),
        estimate + rng.normal(0, 0.05, estimate.shape), estimate, np.arange(1.0, bands + 1),
        "band", "value", np.abs(rng.normal(0, 0.02, estimate.shape)) if deviation else None,
    )  # fmt: skip


def read(block: str) -> tuple[dict, dict[str, np.ndarray]]:
    """What is told of the codes, and the codes (band, line, sample) by their names."""
    match = re.search(r'data-spectra="([^"]+)"', block)
    assert match is not None
    about = json.loads(unescape(match[1]))
    pngs = re.findall(r'data-sheet src="data:image/png;base64,([^"]+)', block)
    images = [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]
    return about, {
        name: image.reshape(about["shape"]).astype(float)
        for name, image in zip(about["sheets"], images, strict=True)
    }


def test_codes_are_the_values_to_a_step():
    shown = scene(6, 5)
    shown.before[2, 1, 1] = 40.0  # a pixel far off leaves the others of its band fine
    shown.estimate[3, 0, 0] = np.nan
    about, codes = read(spectra_block(shown))
    scales = {name: np.array(v)[:, None, None] for name, v in about["scales"].items()}
    estimate = scales["low"] + (scales["high"] - scales["low"]) * (codes["estimate"] - 1) / 254
    absent = codes["estimate"] == 0
    assert np.argwhere(absent).tolist() == [[3, 0, 0]]
    np.testing.assert_allclose(estimate[~absent], shown.estimate[~absent], atol=0.004)
    root = (codes["before"] - 128) / 127
    before = estimate + scales["away"] * np.sign(root) * root**2
    np.testing.assert_allclose(before[2, 1, 1], 40.0, rtol=1e-4)
    apart = np.abs(before - shown.before)
    assert apart[[0, 1, 4, 5]].max() < 0.003
    assert np.median(apart[2]) < 0.06
    deviation = scales["deviation"] * ((codes["deviation"] - 1) / 254) ** 2
    assert shown.deviation is not None
    np.testing.assert_allclose(deviation, shown.deviation, atol=0.0003)


@pytest.mark.parametrize(("bands", "side"), [(420, 64), (3, 1)])
def test_a_page_stays_small_whatever_the_scene(bands: int, side: int):
    block = spectra_block(scene(bands, side))
    assert len(block) < 1_300_000
    about, codes = read(block)
    assert about["shape"][0] == bands
    assert about["lines"][0] == 0
    assert len(about["lines"]) == about["shape"][1] == codes["estimate"].shape[1]


def test_the_grid_of_a_large_scene_is_coarse():
    assert sampling_step(64, 10) == 1
    assert sampling_step(10_000, 614) == 157


def test_without_a_deviation_there_is_no_interval():
    about, codes = read(spectra_block(scene(4, 3, deviation=False)))
    assert set(codes) == {"estimate", "before"}
    assert "deviation" not in about["scales"]
