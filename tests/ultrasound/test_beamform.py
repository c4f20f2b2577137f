"""Beamforming of simulated echoes of points, and of real data where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sciddm.data_adapters.ultrasound.channels import open_channels
from sciddm.errors import InputError
from sciddm.physics.transmit_wave import TransmitWave
from sciddm.physics.ultrasound.scan_conversion import picture_grid, to_picture
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


@pytest.mark.parametrize("t0", [1e-6, 1.03e-6])
def test_the_phase_does_not_depend_on_the_first_sample(tmp_path, t0):
    """At 1.03 us the carrier has turned 5.15 times: a wrong sign of that phase shows."""
    pz, fs = 14e-3, 25e6
    rf = point_echoes([(pz, 0.0)], [0.0], fs, t0=t0)
    image = beamform(
        open_channels(save(tmp_path / "a.npz", rf, fs, [0.0], t0)), depth_mm=(12, 16), lines=97
    )
    z = image["depth"].values
    i = int(np.argmin(np.abs(z - pz)))
    expected = -2 * np.pi * FC * 2 * pz / C  # baseband along depth
    turned = np.angle(image["frames"][0].values[i, 48] * np.exp(-1j * expected))
    assert abs(turned) < 0.1


def fired(points, elements, delays, fs, samples, t0=0.0, bandwidth=0.6) -> np.ndarray:
    """(wave, element, time): every element fires a spherical wave at its delay, none where NaN.

    Huygens' sum over elements: it knows nothing of sources and foci.
    """
    t = t0 + np.arange(samples) / fs
    s = bandwidth * FC / 2.355
    out = np.zeros((len(delays), len(elements), samples))
    for z, x in points:
        away = np.hypot(z, x - elements)
        for w, row in enumerate(delays):
            for delay, first in zip(row, away, strict=True):
                if np.isnan(delay):
                    continue
                tau = t[None] - (delay + first / C + away[:, None] / C)
                pulse = np.exp(-2 * (np.pi * s * tau) ** 2) * np.cos(2 * np.pi * FC * tau)
                out[w] += pulse / np.sqrt(first)
    return out


def delays_from(elements, source, c=C) -> np.ndarray:
    """Of a focus (z > 0) or of a source behind the probe (z < 0), the first one 0."""
    away = np.hypot(source[0], elements - source[1]) / c
    delays = -away if source[0] > 0 else away
    return delays - delays.min()


@pytest.mark.parametrize(
    ("source", "angle"),
    [((30e-3, 4e-3), 0.1326), ((-12e-3, -3e-3), 0.245), (None, 0.14)],
    ids=["focus", "diverging", "plane"],
)
def test_delays_tell_the_wave(source, angle):
    elements = (np.arange(32) - 15.5) * PITCH
    if source is None:
        delays = elements * np.sin(angle) / C
        delays -= delays.min()
    else:
        delays = delays_from(elements, source)
    wave = TransmitWave.from_delays(elements, delays, C, 1e-9)
    assert wave.angle == pytest.approx(angle, abs=1e-3)
    if source is None:
        assert np.isinf(wave.distance)
    else:
        assert wave.source == pytest.approx(source, abs=1e-5)
    at = torch.tensor(elements)
    arrival = wave.arrival(torch.zeros_like(at), at, C).numpy()
    assert np.abs(arrival - delays).max() < 1e-9
    with pytest.raises(ValueError, match="no plane, diverging or focused"):
        TransmitWave.from_delays(elements, np.random.default_rng(0).random(32) * 1e-6, C, 25e-9)


def test_a_focused_wave_passes_its_focus_once():
    """Arrivals along the axis: t_0 + z / c before the focus and beyond it."""
    wave = TransmitWave(0.0, 20e-3, 1e-6)
    z = torch.tensor([5e-3, 15e-3, 20e-3, 25e-3, 40e-3], dtype=torch.float64)
    arrival = wave.arrival(z, torch.zeros_like(z), C)
    assert np.allclose(arrival, 1e-6 + z / C)
    near = wave.arrival(torch.tensor([19.9e-3, 20.1e-3]), torch.tensor([1e-3, 1e-3]), C)
    assert near[0] < arrival[2] < near[1]


@pytest.mark.parametrize("kind", ["focused", "diverging", "steered focus"])
def test_points_lie_where_they_are_whatever_the_wave(tmp_path, kind):
    """Echoes of element by element firing; delays alone tell the beamformer what was sent."""
    pitch = 0.5 * LAMBDA
    elements = (np.arange(32) - 15.5) * pitch
    points = [(12e-3, 0.0), (18e-3, 4e-3)]
    fs, samples = 20e6, 640
    if kind == "diverging":
        sources = [(-4e-3, x) for x in (-1.5e-3, 0.0, 1.5e-3)]
    else:
        depth = 15e-3 if kind == "focused" else 40e-3
        tilt = np.radians(np.arange(-20, 21, 5.0))
        sources = [(depth * np.cos(a), depth * np.sin(a)) for a in tilt]
    delays = np.stack([delays_from(elements, s) for s in sources])
    rf = fired(points, elements, delays, fs, samples)
    path = tmp_path / "a.npz"
    np.savez(path, rf=rf, fs=fs, fc=FC, pitch=pitch, delays=delays, c=C, bandwidth=0.6)
    image = beamform(open_channels(path), depth_mm=(8, 22), lines=161, sector_deg=20.0)
    assert image.attrs["lateral"] == "angle"
    env = np.abs(image["frames"][0].values)
    r, angles = image["depth"].values, image["lateral"].values
    z, x = r[:, None] * np.cos(angles), r[:, None] * np.sin(angles)
    for pz, px in points:
        near = np.hypot(z - pz, x - px) < 2.5e-3
        i, j = np.unravel_index(np.where(near, env, 0).argmax(), env.shape)
        assert abs(r[i] - np.hypot(pz, px)) < LAMBDA / 2
        assert abs(angles[j] - np.arctan2(px, pz)) < np.radians(1.0)
        assert env[i, j] > 8 * np.median(env)
    # Scan conversion puts them at the same place on a picture.
    grid = picture_grid(r, angles, image.attrs["apex_m"], 1e-4)
    picture = np.nan_to_num(to_picture(env, r, angles, image.attrs["apex_m"], *grid))
    zz, xx = np.meshgrid(grid[0] + image.attrs["apex_m"], grid[1], indexing="ij")
    for pz, px in points:
        near = np.hypot(zz - pz, xx - px) < 2.5e-3
        i, j = np.unravel_index(np.where(near, picture, 0).argmax(), picture.shape)
        assert np.hypot(zz[i, j] - pz, xx[i, j] - px) < 0.4e-3


def test_zea_channels(tmp_path):
    """The layout that zea writes: wave, time, element, one channel; elements may be silent."""
    pitch = 0.5 * LAMBDA
    elements = (np.arange(24) - 11.5) * pitch
    delays = np.stack([delays_from(elements, (-5e-3, 0.0)), delays_from(elements, (12e-3, 0.0))])
    delays[1, :4] = np.nan
    first = np.array([2e-6, 2.5e-6])
    rf = np.stack(
        [fired([(12e-3, 0.0)], elements, delays[[w]], 20e6, 500, t0=first[w])[0] for w in range(2)]
    )
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/raw_data"] = rf.transpose(0, 2, 1)[None, ..., None].astype(np.float32)
        probe = np.stack([elements, 0 * elements, 0 * elements], axis=1)
        values = {
            "probe_geometry": probe,
            "t0_delays": np.nan_to_num(delays),
            "tx_apodizations": np.isfinite(delays).astype(float),
            "initial_times": first,
            "sampling_frequency": 20e6,
            "center_frequency": FC,
            "demodulation_frequency": FC,
            "sound_speed": C,
        }
        for name, value in values.items():
            file[f"scan/{name}"] = np.float32(value)
    data = open_channels(tmp_path / "a.hdf5")
    assert data["distance"].values == pytest.approx([-5e-3, 12e-3], rel=1e-3)
    image = beamform(data, depth_mm=(9, 15), lines=41)
    env = np.abs(image["frames"][0].values)
    i, j = np.unravel_index(env.argmax(), env.shape)
    assert abs(image["depth"].values[i] - 12e-3) < LAMBDA / 2
    assert abs(image["lateral"].values[j]) < np.radians(2)


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
    assert data["channels"].dims == ("frame", "wave", "element", "time")
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
    data = open_channels(path).isel(wave=[1])
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
