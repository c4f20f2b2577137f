"""Simulated rooms against acoustics: images, energy, reverberation time, direct sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from sciddm.simulation.speech.rooms import (
    SPEED_OF_SOUND,
    absorption,
    image_sources,
    random_room,
    shoebox,
    split_direct,
)

SIZE = np.array([6.0, 4.5, 3.0])
SOURCE, RECEIVER = np.array([1.5, 2.0, 1.2]), np.array([4.0, 3.1, 1.7])
RATE = 16_000


def decay_time(response: np.ndarray, rate: int) -> float:
    """T60 from the decay between -5 and -35 dB of the backward integrated energy (Schroeder)."""
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    first, last = np.argmax(level < -5), np.argmax(level < -35)
    return 2 * (last - first) / rate


def test_the_first_images_by_hand():
    """Direct sound, and one reflection at each of six walls."""
    delays, pressures = image_sources(SIZE, SOURCE, RECEIVER, beta=0.8, until=0.06)
    expected = [(np.linalg.norm(SOURCE - RECEIVER), 1.0)]
    for axis in range(3):
        for wall in (0.0, SIZE[axis]):
            mirrored = SOURCE.copy()
            mirrored[axis] = 2 * wall - SOURCE[axis]
            expected.append((np.linalg.norm(mirrored - RECEIVER), 0.8))
    for distance, reflected in expected:
        i = np.argmin(np.abs(delays - distance / SPEED_OF_SOUND))
        assert delays[i] * SPEED_OF_SOUND == pytest.approx(distance)
        assert pressures[i] == pytest.approx(reflected / (4 * math.pi * distance))
    assert delays.max() < 0.06


def test_as_many_images_as_fit_into_the_sphere():
    delays, _ = image_sources(SIZE, SOURCE, RECEIVER, beta=0.9, until=0.12)
    sphere = 4 / 3 * math.pi * (SPEED_OF_SOUND * 0.12) ** 3
    assert len(delays) == pytest.approx(sphere / np.prod(SIZE), rel=0.05)


def test_absorption_is_eyrings():
    beta = absorption(SIZE, 0.5)
    x, y, z = SIZE
    surface = 2 * (x * y + y * z + z * x)
    t60 = 24 * math.log(10) * np.prod(SIZE) / (-SPEED_OF_SOUND * surface * math.log(beta**2))
    assert t60 == pytest.approx(0.5)
    assert 0 < absorption(SIZE, 0.2) < beta < 1


@pytest.mark.parametrize("t60", [0.3, 0.6, 1.0])
def test_the_reverberation_time_is_the_one_asked_for(t60):
    rng = np.random.default_rng(0)
    times = [decay_time(shoebox(SIZE, SOURCE, RECEIVER, t60, RATE, rng), RATE) for _ in range(5)]
    assert np.mean(times) == pytest.approx(t60, rel=0.15)
    dull = shoebox(SIZE, SOURCE, RECEIVER, t60, RATE, rng, treble=0.5)
    treble = sosfilt(butter(8, 5000, "highpass", fs=RATE, output="sos"), dull)
    assert decay_time(treble, RATE) < 0.75 * t60


def test_the_tail_goes_on_at_the_level_of_the_images():
    """Energy between 40 and 60 ms after the direct sound, once from images, once as noise."""
    late = []
    for early in (0.08, 0.02):
        energy = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            source = SOURCE + rng.uniform(-0.3, 0.3, 3)
            response = shoebox(SIZE, source, RECEIVER, 0.6, RATE, rng, early=early)
            start = int(RATE * (np.linalg.norm(source - RECEIVER) / SPEED_OF_SOUND + 0.04))
            energy.append(np.sum(response[start : start + RATE // 50] ** 2))
        late.append(10 * math.log10(np.mean(energy)))
    assert late[0] == pytest.approx(late[1], abs=2.0)


def test_direct_sound_of_a_simulated_room():
    response = shoebox(SIZE, SOURCE, RECEIVER, 0.5, RATE, np.random.default_rng(0))
    distance = np.linalg.norm(SOURCE - RECEIVER)
    place = distance / SPEED_OF_SOUND * RATE
    assert abs(np.argmax(np.abs(response[: int(place) + 20])) - place) <= 0.5
    # Between 500 and 4000 Hz the direct sound has the pressure of a point source.
    pulse = np.fft.rfft(response[int(place) - 20 : int(place) + 21], 4096)
    middle = np.abs(pulse[128:1024])
    assert middle.mean() == pytest.approx(1 / (4 * math.pi * distance), rel=0.1)


@given(arrival=st.integers(0, 400), early=st.floats(0.0, 0.01), gain=st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_splitting_keeps_the_direct_sound_at_unit_energy(arrival, early, gain):
    rng = np.random.default_rng(1)
    response = np.zeros(3000)
    response[arrival] = 1.0
    response[arrival + 1 :] = (
        0.3 * rng.standard_normal(2999 - arrival) * np.exp(-np.arange(2999 - arrival) / 300)
    )
    response /= np.abs(response[arrival:]).max() / 1.0
    whole, direct, delay = split_direct(gain * response, RATE, early)
    assert delay == min(arrival, 16)
    assert np.sum(direct**2) == pytest.approx(1)
    assert np.allclose(whole[: len(direct)], direct)
    assert len(direct) == min(delay + 1 + round(early * RATE), len(whole))


def test_random_rooms_differ_and_repeat():
    first, again, other = (
        random_room(RATE, np.random.default_rng(seed), (0.2, 0.8)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert len(first) != len(other)
    assert 0.15 < decay_time(first, RATE) < 0.9
