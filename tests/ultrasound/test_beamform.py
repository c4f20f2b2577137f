"""Beamforming of simulated echoes of points, and of real data where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sciddm.data_adapters.ultrasound.channels import open_channels
from sciddm.errors import InputError
from sciddm.pipelines.ultrasound.beamform import beamform, demodulate

DATA = Path(os.environ.get("SCIDDM_DATA", "../shared/data")) / "ultrasound"
C, FC, PITCH, ELEMENTS = 1540.0, 5e6, 0.3e-3, 48
LAMBDA = C / FC


def point_echoes(points, angles, fs, t0=1e-6, bandwidth=0.6, samples=900) -> np.ndarray:
    """(angle, element, time): Gaussian pulses at exact delays, written apart from the package."""
    elements = (np.arange(ELEMENTS) - (ELEMENTS - 1) / 2) * PITCH
    t = t0 + np.arange(samples) / fs
    s = bandwidth * FC / 2.355
    out = np.zeros((len(angles), ELEMENTS, samples))
    for z, x in points:
        for i, a in enumerate(angles):
            away = z * np.cos(a) + x * np.sin(a)
            for e, at in enumerate(elements):
                tau = t - (away + np.hypot(z, x - at)) / C
                out[i, e] += np.exp(-2 * (np.pi * s * tau) ** 2) * np.cos(2 * np.pi * FC * tau)
    return out


def save(path: Path, rf: np.ndarray, fs: float, angles, t0: float = 1e-6, **more) -> Path:
    np.savez(
        path, rf=rf, fs=fs, fc=FC, pitch=PITCH, angles=angles, t0=t0, c=C, bandwidth=0.6, **more
    )
    return path


@pytest.mark.parametrize(
    ("fs", "bandwidth"), [(20e6, 0.6), (20e6 / 3, 0.15)], ids=["RF", "bandpass sampled"]
)
def test_points_are_found_within_half_a_wavelength(tmp_path, fs, bandwidth):
    """Also where the sampling is below twice the carrier, as scanners with a narrow band do it."""
    points = [(10e-3, -3e-3), (15e-3, 2.1e-3), (21e-3, 0.4e-3)]
    angles = np.radians([-8.0, 0.0, 8.0])
    samples = int(32e-6 * fs)
    rf = point_echoes(points, angles, fs, bandwidth=bandwidth, samples=samples)
    path = save(tmp_path / "channels.npz", rf, fs, angles)
    data = open_channels(path)
    data.attrs["bandwidth"] = bandwidth
    image = beamform(data, depth_mm=(7, 24), lines=145)
    env = np.abs(image["frames"][0].values)
    z, x = image["depth"].values, image["lateral"].values
    for pz, px in points:
        near = (np.abs(z - pz) < 1.5e-3)[:, None] & (np.abs(x - px) < 1.5e-3)[None]
        i, j = np.unravel_index(np.where(near, env, 0).argmax(), env.shape)
        assert abs(z[i] - pz) < LAMBDA / 2
        assert abs(x[j] - px) < LAMBDA / 2
        assert env[i, j] > 10 * np.median(env)


def test_the_phase_of_the_image_is_that_of_its_carrier(tmp_path):
    """IQ exp(2 pi i fc 2 z / c) about a point is the pulse's own carrier, 1 at its centre."""
    pz, fs = 14e-3, 25e6
    rf = point_echoes([(pz, 0.0)], [0.0], fs)
    image = beamform(
        open_channels(save(tmp_path / "a.npz", rf, fs, [0.0])), depth_mm=(12, 16), lines=97
    )
    line = image["frames"][0].values[:, 48]
    z = image["depth"].values
    echo = line * np.exp(2j * np.pi * FC * 2 * z / C)
    near = np.abs(z - pz) < LAMBDA / 2
    expected = np.exp(2j * np.pi * FC * 2 * (z - pz) / C)
    assert np.abs(np.angle(echo[near] / expected[near])).max() < 0.1
    # The low-pass of demodulation takes the edges of the pulse's band, and with them some peak.
    assert np.abs(echo[near]).max() == pytest.approx(0.95, abs=0.05)


def test_demodulation_of_a_tone():
    """cos(2 pi (fc + d) t) becomes exp(2 pi i d t)."""
    fs, d = 20e6, 0.3e6
    t = np.arange(400) / fs
    iq = demodulate(np.cos(2 * np.pi * (FC + d) * t), fs, FC, 0.6)
    assert np.abs(iq - np.exp(2j * np.pi * d * t))[60:-60].max() < 0.02
    with pytest.raises(InputError, match="mirror image"):
        demodulate(np.cos(t), 10e6, FC, 0.6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pitch": 0.0}, "does not say pitch"),
        ({"angles": np.zeros(2)}, "2 angles for 1"),
        ({"angles": np.array([12.0])}, "are they degrees"),
        ({"axes": "time lines element"}, "do not name"),
        ({"rf": np.full((1, 4, 50), np.nan)}, "NaN"),
    ],
)
def test_unusable_channel_data_are_named(tmp_path, change, words):
    arrays = {"rf": np.ones((1, 4, 50)), "fs": 2e7, "fc": FC, "pitch": PITCH, **change}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=words):
        open_channels(tmp_path / "a.npz")


def test_axes_by_name(tmp_path):
    rf = np.random.default_rng(0).standard_normal((50, 4, 3))  # time, element, frame
    np.savez(tmp_path / "a.npz", RF=rf, fs=2e7, f0=FC, pitch=PITCH, axes="time element frame")
    data = open_channels(tmp_path / "a.npz")
    assert data["channels"].dims == ("frame", "angle", "element", "time")
    assert np.allclose(data["channels"][2, 0, 1], rf[:, 1, 2])
    with pytest.raises(InputError, match="hold depths up to"):
        beamform(data, depth_mm=(5, 500))


# Real data --------------------------------------------------------------------------------------


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there (set SCIDDM_DATA)")
    return path


def test_points_of_the_field_ii_set():
    """Wires at 10.35, 22.18 and 34 mm. The file's times leave one constant of depth, taken out."""
    path = real("pybf_fieldii_pw3_rf_3x192x2313_i16.npz")
    data = open_channels(path).isel(angle=[1])
    data.attrs["t0"] = data.attrs["t0"][1:2]
    wavelength = data.attrs["c"] / data.attrs["fc"]
    image = beamform(data, depth_mm=(8, 36), lines=97)
    env = np.abs(image["frames"][0].values)
    z, x = image["depth"].values, image["lateral"].values
    found = []
    for pz in (10.35e-3, 22.18e-3, 34.0e-3):
        near = (np.abs(z - pz) < 1.1e-3)[:, None] & (np.abs(x) < 1.5e-3)[None]
        i, j = np.unravel_index(np.where(near, env, 0).argmax(), env.shape)
        found.append((z[i] - pz, x[j]))
    errors = np.array(found)
    assert np.ptp(errors[:, 0]) < wavelength / 2
    assert np.abs(errors[:, 1]).max() < wavelength / 2


def test_the_disc_of_the_real_set_is_brighter_than_what_is_around():
    """A disc 10 mm in radius about 22 mm deep, in a scan sampled below twice its carrier."""
    path = real("pwi_disk_rf_334x128x32_i16.npz")
    data = open_channels(path, {"axes": "time element frame"}).isel(frame=[0])
    image = beamform(data, depth_mm=(10, 36), lines=64)
    env = np.abs(image["frames"][0].values)
    r = np.hypot(image["depth"].values[:, None] - 22e-3, image["lateral"].values[None])
    inside, outside = env[r < 8e-3], env[(r > 12.5e-3) & (r < 16e-3)]
    assert 20 * np.log10(inside.mean() / outside.mean()) > 8
