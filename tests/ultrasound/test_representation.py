"""Frames of files to what the models see, and back: in physical units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from sciddm.data_adapters.ultrasound import build_frames
from sciddm.errors import InputError
from sciddm.physics.ultrasound.representation import amplitude, represent
from sciddm.physics.ultrasound.waves import Beam, analytic, convolve, envelope

FC, N = 2.5e6, 400


def pulse(fs: float, at: float, fc: float = FC, amplitude: float = 1.0) -> np.ndarray:
    """An echo at time `at` (s), on 6 lines."""
    t = np.arange(N) / fs - at
    wave = amplitude * np.exp(-((t * fc / 1.2) ** 2)) * np.cos(2 * np.pi * fc * t)
    return np.repeat(wave[:, None], 6, axis=1)


def baseband(rf: np.ndarray, fs: float) -> np.ndarray:
    return analytic(rf) * np.exp(-2j * np.pi * FC / fs * np.arange(len(rf)))[:, None]


def frames(values: np.ndarray, kind: str, **more):
    return build_frames(Path("test"), values, kind, form="test", **more)


@pytest.mark.parametrize("fs", [9.1e6, 10e6, 16.7e6])
@pytest.mark.parametrize("kind", ["rf", "iq"])
def test_what_the_models_take_away_is_taken_away_at_its_place(fs, kind):
    """Two echoes; the models remove one. What is left is the other, at any rate, RF or IQ."""
    middle = 0.5 * N / fs
    keep, drop = pulse(fs, middle - 6e-6), pulse(fs, middle + 5e-6, amplitude=0.6)
    form = (lambda x: x) if kind == "rf" else (lambda x: baseband(x, fs))
    data = frames(form(keep + drop), kind, fs=fs, fc=FC)
    made = represent(data)
    frame = data["frames"].values[0]
    seen = made.to_model(frame)
    period = 1 / (np.abs(np.fft.rfft(seen[:, 0])).argmax() / len(seen))
    assert period == pytest.approx(4.0, rel=0.03)  # samples of a period
    kept = made.to_model(form(keep).astype(frame.dtype))
    left = made.result(frame, seen, kept)
    assert left.dtype == frame.dtype
    assert np.abs(left - form(keep)).max() < 4e-3
    assert np.abs(left - frame).max() > 0.4
    # Nothing taken away leaves the frame as it was, bit for bit.
    assert np.array_equal(made.result(frame, seen, seen), frame)


def test_iq_and_rf_of_one_scan_look_alike_to_the_models():
    fs = 10e6
    rf = pulse(fs, 0.4 * N / fs) + 0.3 * pulse(fs, 0.7 * N / fs)
    by_rf = represent(frames(rf, "rf", fs=fs, fc=FC))
    by_iq = represent(frames(baseband(rf, fs), "iq", fs=fs, fc=FC))
    assert by_rf.scale == pytest.approx(by_iq.scale, rel=1e-4)
    one, other = by_rf.to_model(rf), by_iq.to_model(baseband(rf, fs))
    assert np.abs(one - other)[40:-40].max() < 5e-3


def test_bmode_round_trip_and_decibels():
    """6.02 dB less of amplitude are 6.02 / 60 less of grey; nothing stays nothing."""
    image = np.linspace(0, 1, 50, dtype=np.float32).reshape(1, 10, 5)
    data = frames(image, "bmode", attrs={"dynamic_range_db": 60.0})
    made = represent(data)
    seen = made.to_model(image[0])
    assert np.abs(made.result(image[0], seen, seen) - image[0])[1:].max() < 1e-5
    half = made.result(image[0], seen, seen / 2)
    assert half[-1, -1] == pytest.approx(image[0, -1, -1] - 20 * np.log10(2) / 60, abs=1e-4)
    assert seen[0, 0] == 0
    assert amplitude(data, image[0])[-1, -1] == pytest.approx(1.0)


def test_std_has_the_units_of_the_result():
    """For B-mode dv = 20 / (ln 10 range) dA / A; for echoes the file's amplitude."""
    image = np.full((1, 4, 4), 0.5, np.float32)
    made = represent(frames(image, "bmode"))
    seen = made.to_model(image[0])
    got = made.spread(0.1 * seen, image[0])
    assert got == pytest.approx(20 / (np.log(10) * 60) * 0.1, rel=1e-4)
    rf = 300 * pulse(10e6, 2e-5)
    echoes = represent(frames(rf, "rf", fs=10e6, fc=FC))
    std = np.full(echoes.to_model(rf).shape, 0.1, np.float32)
    assert echoes.spread(std, rf) == pytest.approx(0.1 * echoes.scale)
    assert echoes.scale == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("rf", {"fc": FC}, "does not say fs"),
        ("iq", {"fs": 1e7}, "does not say fc"),
        ("rf", {"fs": 4e6, "fc": FC}, "cannot hold a band"),
    ],
)
def test_missing_numbers_are_named(kind, more, words):
    values = np.ones((1, 8, 8), complex if kind == "iq" else float)
    with pytest.raises(InputError, match=words):
        represent(frames(values, kind, **more))


def test_envelope_of_a_modulated_gaussian():
    t = np.arange(200) - 100.0
    gauss = np.exp(-((t / 20) ** 2))
    assert np.abs(envelope((gauss * np.cos(t * np.pi / 2))[:, None])[:, 0] - gauss).max() < 1e-5


def test_the_beam_keeps_variance_and_has_its_width():
    """White scatterers leave with variance 1; half of the amplitude at half of the bandwidth."""
    rng = np.random.default_rng(0)
    beam = Beam(bandwidth=0.6, lines=1.5)
    assert convolve(
        rng.standard_normal((512, 256)).astype(np.float32), beam
    ).var() == pytest.approx(1.0, rel=0.03)
    point = np.zeros((512, 128), np.float32)
    point[256, 64] = 1
    spectrum = np.abs(np.fft.rfft(convolve(point, beam)[:, 64]))
    f = np.fft.rfftfreq(512) * 4
    above = f[spectrum > spectrum.max() / 2]
    assert above[-1] - above[0] == pytest.approx(0.6, abs=0.02)
    profile = np.abs(convolve(point, beam)[256])
    width = np.sqrt((profile * (np.arange(128) - 64.0) ** 2).sum() / profile.sum())
    assert width == pytest.approx(1.5, rel=0.01)


def test_a_spectrum_beside_its_carrier_is_taken_where_it_lies():
    """IQ demodulated at 5 MHz of echoes about 3.5 MHz: 4 samples per period of the latter."""
    rng = np.random.default_rng(0)
    fs, fc, centre = 10e6, 5e6, 3.5e6
    tone = np.exp(2j * np.pi * (centre - fc) / fs * np.arange(400))[:, None]
    swell = ndimage.gaussian_filter1d(rng.standard_normal((2, 400, 8)), 4, axis=1)
    iq = (swell[0] + 1j * swell[1]) * tone
    data = build_frames(Path("a"), iq[None].astype(np.complex64), "iq", form="x", fs=fs, fc=fc)
    form = represent(data)
    assert "3.5" in form.remarks[0]
    seen = form.to_model(data["frames"].values[0])
    inside = seen[form.seen_mask(np.ones((400, 8), bool)).all(axis=1)]  # without mirrored ends
    power = (np.abs(np.fft.rfft(inside, axis=0)) ** 2).sum(axis=1)
    peak = (np.fft.rfftfreq(len(inside)) * power).sum() / power.sum()
    assert peak == pytest.approx(0.25, abs=0.01)
    # What is taken away comes back at the scan's own sampling and carrier.
    left = form.result(iq, seen, np.zeros_like(seen))[40:-40]  # mirrored ends leave a little
    assert np.abs(left).max() < 0.05 * np.abs(iq).max()
    said = data.assign_attrs(fc=centre, kind="iq")
    assert not represent(said.assign(frames=data["frames"] / tone)).remarks
