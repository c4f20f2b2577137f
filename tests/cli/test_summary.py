from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.metrics.volume import psnr_volume, ssim_volume
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.summary import Fact, document, jsonable, warnings_of


def test_jsonable_is_strict_json() -> None:
    value = {
        "nan": float("nan"),
        "array": np.array([1.0, np.inf]),
        "scalar": np.float32(2.5),
        "flag": np.bool_(True),
        "path": Path("a/b"),
        3: (1, "x", None),
    }
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == {
        "nan": None,
        "array": [1.0, None],
        "scalar": 2.5,
        "flag": True,
        "path": "a/b",
        "3": [1, "x", None],
    }


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        (None, []),
        ("[]", []),
        ('["a", "b"]', ["a", "b"]),
        (["a"], ["a"]),
        ("plain words", ["plain words"]),
        ('"quoted"', ["quoted"]),
    ],
)
def test_warnings_in_every_form_they_are_kept_in(stored: object, read: list[str]) -> None:
    assert warnings_of({"warnings": stored}) == read


def test_document_counts_and_keeps_the_facts() -> None:
    job = Job(Path("a.h5"), Path("a.nii.gz"))
    outcomes = [
        Outcome(job, "done", 1.23456, {"psnr": Fact("psnr", "PSNR", 31.25, "31.2 dB")}),
        Outcome(job, "failed", error="no"),
    ]
    made = document(outcomes, "sciddm x")
    assert (made["done"], made["skipped"], made["failed"]) == (1, 0, 1)
    assert made["results"][0]["psnr"] == 31.25
    assert made["results"][0]["seconds"] == 1.235
    assert made["results"][1]["error"] == "no"


def test_psnr_of_a_known_error() -> None:
    reference = np.zeros((2, 8, 8))
    reference[1, 0, 0] = 4.0  # the range is the volume's: slice 0 alone would have none
    # Error 0.04 everywhere: 10 log10(16 / 0.0016) = 40 dB.
    assert psnr_volume(reference + 0.04, reference) == pytest.approx(40.0)
    assert psnr_volume(reference, reference) == float("inf")


def test_ssim_against_its_formula_on_one_window() -> None:
    """A 7 x 7 slice has one window, so SSIM is the formula on its moments (unbiased)."""
    rng = np.random.default_rng(0)
    reference, image = rng.uniform(size=(2, 1, 7, 7))
    top = reference.max()
    c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
    mx, my = image.mean(), reference.mean()
    vx, vy = image.var(ddof=1), reference.var(ddof=1)
    cov = np.cov(image.ravel(), reference.ravel())[0, 1]
    expected = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim_volume(image, reference) == pytest.approx(expected, rel=1e-9)


def test_quality_refuses_what_it_is_not_defined_for() -> None:
    volume = np.ones((1, 8, 8))
    with pytest.raises(InputError, match="magnitudes"):
        psnr_volume(volume * 1j, volume)
    with pytest.raises(InputError, match="one volume"):
        psnr_volume(volume[0], volume[0])
    with pytest.raises(InputError, match="empty"):
        psnr_volume(volume, 0 * volume)
    with pytest.raises(InputError, match="7 x 7"):
        ssim_volume(np.ones((1, 6, 8)), np.ones((1, 6, 8)))
