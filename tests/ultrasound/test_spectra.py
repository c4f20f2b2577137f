"""Tissue and haze by their local spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import randn

from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.physics.ultrasound.waves import Beam
from sciddm.simulation.ultrasound.echoes import Clutter, haze_echoes, tissue_echoes

SHAPE = (256, 96)
BEAM = Beam(bandwidth=0.6, lines=1.0)
CLUTTER = Clutter(level_db=-20, floor_db=0, decay=1.0, patchy_db=0, noise_db=-60)


def fields(tissue_db: float = -20.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Even tissue and even haze of -20 dB."""
    rngs = [np.random.default_rng(i) for i in (1, 2)]
    tissue = tissue_echoes(np.zeros(SHAPE, np.float32), BEAM, tissue_db, rngs[0])
    haze = haze_echoes(SHAPE, BEAM, CLUTTER, rngs[1])
    return torch.from_numpy(tissue), torch.from_numpy(haze)


def power(x: torch.Tensor) -> float:
    return float(x.square().mean())


def test_windows_give_back_the_frame_and_know_the_power_of_noise():
    rf = randn(77, 41, dtype=torch.float32)
    found = LocalSpectra(rf)
    assert torch.allclose(found.frame.synthesise(found.spectrum), rf, atol=1e-5)
    assert float(found.spectrum.abs().square().mean()) == pytest.approx(1, rel=0.1)


def best_error(power_of_each: float = 0.01) -> float:
    """Of Wiener's filter that knows both spectra: the mean of P_x P_h / (P_x + P_h)."""
    f = torch.fft.rfftfreq(SHAPE[0])[:, None] * 4
    k = torch.fft.fftfreq(SHAPE[1])

    def spectrum(bandwidth: float, lines: float, centre: float) -> torch.Tensor:
        s = bandwidth / 2.3548
        shape = torch.exp(-(((f - centre) / s) ** 2) - (2 * np.pi * lines * k) ** 2)
        return power_of_each * shape / shape.mean()

    p = spectrum(BEAM.bandwidth, BEAM.lines, 1.0)
    q = spectrum(BEAM.bandwidth * CLUTTER.narrower, BEAM.lines * CLUTTER.wider, CLUTTER.shift)
    return float((p * q / (p + q + 1e-12)).mean())


def test_the_beam_and_haze_s_own_are_found():
    tissue, haze = fields()
    numbers = LocalSpectra(tissue + haze).numbers
    assert np.exp(numbers["log_bandwidth"]) == pytest.approx(BEAM.bandwidth, rel=0.1)
    assert np.exp(numbers["log_lines"]) == pytest.approx(BEAM.lines, rel=0.1)
    assert numbers["narrower"] == pytest.approx(CLUTTER.narrower, abs=0.15)
    assert numbers["lower"] == pytest.approx(CLUTTER.shift, abs=0.08)


def test_the_mean_is_near_that_of_the_best_linear_filter():
    tissue, haze = fields()
    error = power(LocalSpectra(tissue + haze).tissue()[0] - tissue)
    assert best_error() < 0.4 * power(tissue)
    assert 0.9 * best_error() < error < 1.4 * best_error()


def test_what_is_no_haze_stays():
    tissue, _ = fields()
    assert power(LocalSpectra(tissue).tissue()[0] - tissue) < 0.02 * power(tissue)


def test_samples_differ_by_what_is_not_known():
    tissue, haze = fields()
    found = LocalSpectra(tissue + haze)
    apart = found.tissue(randn(4, 2, *SHAPE, dtype=torch.float32)) - found.tissue()
    assert power(apart) == pytest.approx(best_error(), rel=0.2)


def test_short_and_silent_frames_are_no_trouble():
    assert float(LocalSpectra(torch.zeros(40, 30)).tissue().abs().max()) == 0
    assert torch.isfinite(LocalSpectra(randn(5, 3, dtype=torch.float32)).tissue()).all()


def test_haze_is_asked_for_where_there_is_some():
    tissue, haze = fields()
    found = [LocalSpectra(tissue + a * haze).evidence() for a in (0.0, 1.0, 2.0)]
    assert found[0] < 0 < 0.004 < found[1] < 0.04 < found[2]
