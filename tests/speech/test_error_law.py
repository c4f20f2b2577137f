"""The error's standard deviation from recording and answer: known laws, scales, pieces."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_models import regeneration, scaling

from sciddm.errors import InputError
from sciddm.physics.speech.error_law import ErrorLaw, quarters
from sciddm.pipelines.speech.pipeline import SpeechEnhancement

RATE = 8000
LAW = ErrorLaw((-2.0, 0.4, 0.4, 0.1, 0.1), 1.0)


def _case(seed: int, seconds: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recording, answer and truth; the error has the standard deviation of LAW."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    syllables = np.interp(np.arange(n), np.linspace(0, n, 24), rng.uniform(-4, 0, 24))
    answer = np.exp(syllables) * rng.standard_normal(n)
    noisy = answer + 0.05 * rng.standard_normal(n)
    std = LAW.std(noisy[None], answer[None], RATE)[0]
    return noisy, answer, answer + std * rng.standard_normal(n)


def test_a_constant_pair_has_the_standard_deviation_of_the_equation() -> None:
    # Powers of 4 and 1: m = 5, ln v = -2 + ln 5 + (.4 + .1) ln(4/5) + (.4 + .1) ln(1/5)
    signs = np.where(np.arange(2 * RATE) % 2, 1.0, -1.0)
    std = ErrorLaw(LAW.coefficients, 3.0).std(3 * signs[None], 2 * signs[None], RATE)
    expected = 3 * np.sqrt(np.exp(-2) * 5 * 0.8**0.5 * 0.2**0.5)
    np.testing.assert_allclose(std, expected, rtol=1e-5)


def test_intervals_of_a_fitted_law_hold_in_every_quarter_of_other_recordings() -> None:
    law = ErrorLaw.fit([_case(seed) for seed in range(6)], RATE)
    fresh = [_case(seed) for seed in range(20, 26)]
    inside = np.concatenate(
        [np.abs(x - e) <= 1.645 * law.std(y[None], e[None], RATE)[0] for y, e, x in fresh]
    )
    for signal in range(3):
        for part in quarters([case[signal] for case in fresh], RATE):
            assert 0.86 < inside[part].mean() < 0.97


def test_a_law_of_scale_follows_the_level() -> None:
    noisy, answer, _ = _case(0)
    std = LAW.std(noisy[None], answer[None], RATE)
    loud = LAW.std(1000 * noisy[None], 1000 * answer[None], RATE)
    np.testing.assert_allclose(loud, 1000 * std, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=8), st.sampled_from([800, 8000]))
def test_pieces_do_not_matter(sizes: list[int], rate: int) -> None:
    rng = np.random.default_rng(1)
    n = sum(sizes)
    noisy = rng.standard_normal((2, n)) * np.exp(np.sin(np.arange(n) / 900))
    answer = 0.7 * noisy + 0.01 * rng.standard_normal((2, n))
    cuts = np.cumsum(sizes)[:-1]
    blocks = zip(np.split(noisy, cuts, axis=1), np.split(answer, cuts, axis=1), strict=True)
    pieces = np.concatenate(list(LAW.stream(blocks, rate)), axis=1)
    assert pieces.shape == noisy.shape
    np.testing.assert_allclose(pieces, LAW.std(noisy, answer, rate), rtol=1e-5)


def test_silence_has_no_error_and_a_perfect_answer_a_small_one() -> None:
    noisy, answer, _ = _case(0)
    std = LAW.std(np.stack([0 * noisy, answer]), np.stack([0 * noisy, answer]), RATE)
    assert not std[0].any()
    assert 0 < std[1].mean() < 0.3 * LAW.std(noisy[None], answer[None], RATE).mean()


def test_quarters_are_of_each_signals_own_level() -> None:
    ramp = np.linspace(1e-3, 1, 4 * RATE)
    parts = quarters([ramp, 100 * ramp[::-1]], RATE)
    assert [int(part.sum()) for part in parts] == [2 * RATE] * 4
    assert parts[0][: int(0.9 * RATE)].all()
    assert parts[0][int(-0.9 * RATE) :].all()
    assert parts[3][int(3.1 * RATE) : int(4.9 * RATE)].all()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"coefficients": [1, 2], "factor": 1},
        {"coefficients": [1, 2, 3, 4, float("nan")], "factor": 1},
        {"coefficients": [1, 2, 3, 4, 5], "factor": -1},
        {"coefficients": 3, "factor": 1},
    ],
)
def test_a_card_without_a_law_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(InputError, match="needed"):
        ErrorLaw.of(config)


def test_a_law_comes_back_from_its_card() -> None:
    assert ErrorLaw.of(LAW.config) == LAW
    with pytest.raises(InputError, match="at least one case"):
        ErrorLaw.fit([], RATE)


def _recording(rate: int = 16_000) -> xr.DataArray:
    rng = np.random.default_rng(3)
    wave = np.sin(np.arange(2 * rate) / 9) * np.hanning(2 * rate) + 0.1 * rng.standard_normal(
        (2, 2 * rate)
    )
    return xr.DataArray(
        (0.3 * wave + 0.05).astype(np.float32), dims=("channel", "time"), attrs={"rate": rate}
    )


CARD = {"fast": {"error_law": LAW.config, "by_level": [0.9, 0.91, 0.92, 0.93]}}


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("limit", [None, 6.0, 0.0])
def test_one_answer_has_the_standard_deviation_of_its_law(rate: int, limit: float | None) -> None:
    noisy = _recording(rate)
    pipeline = SpeechEnhancement(scaling(0.8), calibration=CARD)
    whole = pipeline(noisy, quality="fast")
    result = pipeline(noisy, quality="fast", std=True, attenuation_limit=limit)
    assert "std" not in whole
    assert json.loads(result.attrs["verdict"])["calibrated"]["figure"] == 0.9
    # the offset is no part of the sound, and a limit keeps a share of the recording as it is
    offset = np.asarray(result.attrs["dc_offset"])[:, None]
    expected = LAW.std(noisy.values - offset, whole["enhanced"].values - offset, rate)
    kept = 0.0 if limit is None else 10 ** (-limit / 20)
    np.testing.assert_allclose(result["std"], (1 - kept) * expected, rtol=2e-3, atol=1e-7)


def test_without_a_law_one_answer_says_nothing_of_its_error() -> None:
    pipeline = SpeechEnhancement(scaling(0.8))
    with pytest.raises(InputError, match="no error law"):
        pipeline(_recording(), quality="fast", std=True)


def test_draws_add_their_variance_to_the_laws() -> None:
    card = {"best": {**CARD["fast"], "spread": 1.0}}
    noisy = _recording().isel(time=slice(0, 8000))
    noisy.attrs["rate"] = 16_000
    draws = SpeechEnhancement(regeneration())(noisy, quality="best")
    both = SpeechEnhancement(regeneration(), calibration=card)(noisy, quality="best")
    offset = np.asarray(both.attrs["dc_offset"])[:, None]
    law = LAW.std(noisy.values - offset, both["enhanced"].values - offset, 16_000)
    np.testing.assert_allclose(both["std"], np.hypot(law, draws["std"]), rtol=1e-3, atol=1e-7)
    assert (both["std"].values > law).any()
