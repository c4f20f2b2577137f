"""Room impulse responses: simulated in shoebox rooms, and split into direct sound and the rest.

The first tens of milliseconds come from image sources, what follows from noise whose level is
the image sources' own: in a room of volume V the images that arrive around time t are so many,
and so weak, that the energy per second is on average

    e(t) = c / (4 pi V) exp(-6 ln(10) t / T60)

with a pressure of 1/(4 pi d) at distance d. The tail therefore needs no level of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["absorption", "image_sources", "random_room", "shoebox", "split_direct"]

SPEED_OF_SOUND = 343.0
_TAPS = 32

Array = NDArray[np.float64]


def absorption(size: Array, t60: float) -> float:
    """The walls' reflection coefficient of pressure that gives a reverberation time.

    Eyring: T60 = 24 ln(10) V / (-c S ln(beta^2)).

    Args:
        size: of the room in metres (3,).
        t60: seconds.
    """
    volume = float(np.prod(size))
    surface = 2 * float(size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    return math.exp(-12 * math.log(10) * volume / (SPEED_OF_SOUND * surface * t60))


def image_sources(
    size: Array, source: Array, receiver: Array, beta: float, until: float
) -> tuple[Array, Array]:
    """Delays (seconds) and pressures of all images that arrive before ``until`` seconds.

    Allen and Berkley, Image method for efficiently simulating small-room acoustics, 1979, eq. 9,
    with one reflection coefficient for all walls: image (m, q) of an axis lies at
    (1 - 2 q) source + 2 m size and was reflected |m - q| + |m| times.
    """
    reach = SPEED_OF_SOUND * until
    offsets, counts = [], []
    for axis in range(3):
        m = np.arange(-int(reach / (2 * size[axis])) - 1, int(reach / (2 * size[axis])) + 2)
        m, q = (v.ravel() for v in np.meshgrid(m, [0, 1]))
        offsets.append((1 - 2 * q) * source[axis] + 2 * m * size[axis] - receiver[axis])
        counts.append(np.abs(m - q) + np.abs(m))
    x, y, z = np.meshgrid(*offsets, indexing="ij")
    distance = np.sqrt(x**2 + y**2 + z**2).ravel()
    x, y, z = np.meshgrid(*counts, indexing="ij")
    reflections = (x + y + z).ravel()
    near = distance < reach
    distance, reflections = distance[near], reflections[near]
    return distance / SPEED_OF_SOUND, beta**reflections / (4 * math.pi * distance)


def shoebox(
    size: Array,
    source: Array,
    receiver: Array,
    t60: float,
    rate: int,
    rng: np.random.Generator,
    *,
    treble: float = 1.0,
    early: float = 0.05,
) -> Array:
    """The impulse response (L,) of a room, down to -60 dB.

    Args:
        size, source, receiver: metres (3,).
        t60: reverberation time below 2 kHz in seconds.
        rate: samples per second.
        rng: of the tail.
        treble: reverberation time above 2 kHz, as a fraction of ``t60``.
        early: seconds of image sources after the direct sound.
    """
    direct = float(np.linalg.norm(source - receiver)) / SPEED_OF_SOUND
    mixing = direct + early
    delays, pressures = image_sources(size, source, receiver, absorption(size, t60), mixing)
    length = math.ceil(rate * max(direct + t60, mixing)) + _TAPS
    response = np.zeros(length)
    place = delays * rate
    first = np.floor(place).astype(int) - _TAPS // 2 + 1
    taps = first[:, None] + np.arange(_TAPS)
    apart = taps - place[:, None]
    kernel = np.sinc(apart) * np.cos(np.pi * apart / (_TAPS + 2)) ** 2  # a Hann window
    inside = (taps >= 0) & (taps < length)
    np.add.at(response, taps[inside], (pressures[:, None] * kernel)[inside])
    response = _without_rumble(response, rate)

    t = np.arange(length) / rate
    density = SPEED_OF_SOUND / (4 * math.pi * float(np.prod(size)) * rate)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    low = 1 / (1 + (np.fft.rfftfreq(length, 1 / rate) / 2000.0) ** 8)
    bands = [np.fft.irfft(spectrum * np.sqrt(share), length) for share in (low, 1 - low)]
    tail = sum(
        band * np.exp(-3 * math.log(10) * t / (t60 * factor))
        for band, factor in zip(bands, (1.0, treble), strict=True)
    )
    # The tail rises over 5 ms around the mixing time, where the images end.
    rise = np.clip((t - mixing) / 0.005 + 1.0, 0.0, 1.0)
    out: Array = response + np.sqrt(density) * rise * tail
    return out


def _without_rumble(response: Array, rate: int) -> Array:
    """Images all have the same sign and pile up at low frequencies, which no room does: high-pass
    at 100 Hz, as Allen and Berkley have it."""
    spectrum = np.fft.rfft(response, 2 * len(response))
    frequency = np.fft.rfftfreq(2 * len(response), 1 / rate)
    share = frequency**2 / (frequency**2 + 100.0**2)
    return np.fft.irfft(spectrum * share)[: len(response)]


def random_room(rate: int, rng: np.random.Generator, t60: tuple[float, float]) -> Array:
    """The response of a random room, 30 to 400 m^3, with a talker 0.5 to 4 m away.

    Args:
        rate: samples per second.
        rng: of everything.
        t60: range of the reverberation time in seconds.
    """
    size = rng.uniform([3.5, 3.0, 2.3], [10.0, 9.0, 4.5])
    low, high = np.full(3, 0.4), size - 0.4
    receiver = rng.uniform(low, high)
    source = receiver
    while not 0.5 <= np.linalg.norm(source - receiver) <= 4.0:
        source = rng.uniform(low, high)
    time = float(rng.uniform(*t60))
    return shoebox(size, source, receiver, time, rate, rng, treble=float(rng.uniform(0.5, 1.0)))


def split_direct(response: Array, rate: int, early: float) -> tuple[Array, Array, int]:
    """A response and its direct part, both as loud as the direct part has unit energy.

    Args:
        response: (L,).
        rate: samples per second.
        early: seconds after the direct sound that count as direct.

    Returns:
        (the response, the direct part, their common delay in samples): what came long before the
        direct sound, if a recording has it, is left out. The direct sound is the first sample of
        at least half the peak.
    """
    size = np.abs(response)
    arrival = int(np.argmax(size >= 0.5 * size.max()))
    delay = min(arrival, round(0.001 * rate))
    response = response[arrival - delay :]
    direct = response[: delay + 1 + round(early * rate)]
    level = float(np.sqrt(np.sum(direct**2)))
    return response / level, direct / level, delay
