"""From scatterers to radio-frequency echoes: convolution with a pulse-echo point-spread function.

Along depth the pulse is Gaussian about the carrier; its spectrum at f, in units of the carrier, is

    P(f) = exp(-(f - c)^2 / (2 s^2)),    s = B / (2 sqrt(2 ln 2))

with B the fractional bandwidth at -6 dB and c the place of its maximum, 1 unless tissue has taken
the high frequencies away. Across lines the beam is Gaussian. This is the linear model of a focused
image; pulses of real probes are not Gaussian, nor are their beams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["SAMPLES_PER_PERIOD", "Beam", "analytic", "convolve", "envelope"]

#: Sampling of simulated echoes, and of all that the models see, in units of the carrier.
SAMPLES_PER_PERIOD = 4.0

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Beam:
    """A point-spread function.

    Attributes:
        bandwidth: fractional, at -6 dB of the round trip.
        lines: standard deviation across lines, in lines.
        shift: maximum of the spectrum, in units of the carrier.
    """

    bandwidth: float
    lines: float
    shift: float = 1.0


def convolve(scatterers: Field, beam: Beam) -> Field:
    """Echoes (depth, lines) of scatterers on the same grid; white ones keep their variance.

    The grid is taken as periodic: give it a margin of some beam widths.
    """
    n, m = scatterers.shape
    f = fft.rfftfreq(n).astype(np.float32) * np.float32(SAMPLES_PER_PERIOD)
    k = fft.fftfreq(m).astype(np.float32)
    s = beam.bandwidth / (2 * math.sqrt(2 * math.log(2)))
    axial = np.exp(-0.5 * ((f - beam.shift) / s) ** 2)
    lateral = np.exp(-2 * (math.pi * beam.lines * k) ** 2)
    # Parseval: white noise of variance 1 leaves with variance 1.
    power = (2 * (axial[1:] ** 2).sum() + axial[0] ** 2) / n * (lateral**2).mean()
    spectrum = fft.rfft2(scatterers, axes=(1, 0))
    spectrum *= axial[:, None] * lateral[None] / np.sqrt(power)
    return np.asarray(fft.irfft2(spectrum, s=(m, n), axes=(1, 0)), np.float32)


def envelope(rf: NDArray[np.floating]) -> Field:
    """|analytic signal| along the first axis."""
    return np.abs(analytic(rf)).astype(np.float32)


def analytic(rf: NDArray[np.floating]) -> NDArray[np.complex64]:
    """The signal without its negative frequencies along the first axis; its real part is ``rf``."""
    n = rf.shape[0]
    weight = np.zeros(n, np.float32)
    weight[0] = 1
    weight[1 : (n + 1) // 2] = 2
    if n % 2 == 0:
        weight[n // 2] = 1
    shape = (n, *[1] * (rf.ndim - 1))
    spectrum = np.asarray(fft.fft(rf.astype(np.float32), axis=0)) * weight.reshape(shape)
    return np.asarray(fft.ifft(spectrum, axis=0), np.complex64)
