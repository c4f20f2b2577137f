"""Texture: tissue has it, a phantom of flat parts does not, and the third verdict says so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sciddm import mri, zoo
from sciddm.simulation.mri.scan import simulate_scan
from sciddm.uncertainty.texture import texture, texture_finding, texture_limit
from sciddm.uncertainty.verdict import Finding

Image = NDArray[np.float64]
YES = Finding("yes", 0.5, 2.3, "Like the training data.")


def discs(side: int = 96) -> Image:
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = 0.8 * (np.hypot(y, x) < 0.8)
    for k in range(5):
        at = 0.4 * np.exp(2j * np.pi * k / 5)
        image = np.where(np.hypot(y - at.imag, x - at.real) < 0.1, 0.2 * k, image)
    return image


def waves(side: int = 96) -> Image:
    """A disc whose inside has one gradient magnitude nearly everywhere."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return np.where(np.hypot(y, x) < 0.8, 0.6 + 0.3 * x, 0.0)


def test_texture_is_zero_between_edges_and_one_on_a_ramp() -> None:
    flat, ramp = texture(discs()), texture(waves())
    assert flat is not None
    assert ramp is not None
    assert flat < 0.005
    assert ramp == pytest.approx(1, abs=0.02)
    assert texture(5 * waves()) == pytest.approx(ramp)


def test_nothing_is_said_of_next_to_no_object() -> None:
    assert texture(np.zeros((64, 64))) is None
    small = np.zeros((64, 64))
    small[30:40, 30:40] = 1
    assert texture(small) is None


def test_the_limit_is_what_nearly_all_training_images_lie_above() -> None:
    small = np.zeros((64, 64))
    small[30:40, 30:40] = 1
    figure = texture(discs())
    assert figure is not None
    assert texture_limit([waves()] * 300 + [discs(), small]) == pytest.approx(1, abs=0.02)
    assert texture_limit([waves()] * 100 + [discs()] * 2) == pytest.approx(figure, abs=1e-4)
    assert texture_limit([small]) == 0


def test_bundled_priors_of_heads_know_the_texture_of_heads() -> None:
    for name in ("mri-brain", "mri-brain-conditional"):
        assert zoo.from_pretrained(name).card.shift["texture_limit"] == 0.04


def test_only_a_yes_turns_into_a_no() -> None:
    assert texture_finding(YES, [0.1, None], 0.04) is YES
    assert texture_finding(YES, [None], 0.04) is YES
    assert texture_finding(YES, [], 0.04) is YES
    flat = texture_finding(YES, [0.01, 0.02, 0.9], 0.04)
    assert (flat.answer, flat.figure, flat.limit) == ("no", 0.02, 0.04)
    assert "flat, as in a phantom" in flat.sentence
    other = Finding("no", 3.0, 2.3, "Unlike.")
    assert texture_finding(other, [0.01], 0.04) is other


def test_a_phantom_of_discs_is_not_familiar_to_a_model_of_heads() -> None:
    scan = simulate_scan(discs(), 6, snr_db=30, seed=0).drop_vars(["reference", "truth"])
    result = mri.reconstruct(scan, quality="fast", samples=2, seed=0, undersample=3, acs=12)
    assert result.verdict.familiar.answer == "no"
