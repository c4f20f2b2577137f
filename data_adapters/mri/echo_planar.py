"""Readouts that run in both directions: the phase between them, from lines for phase correction.

Echo-planar scans reverse every other readout. Delays and eddy currents shift its samples and turn
its phase, which makes a ghost half a field of view away. Lines without phase encoding, measured
forwards and backwards, give the difference in image space along the readout,

    z(x) = sum_c conj(b_c(x)) f_c(x),    arg z(x) ~= p + q x

p and q by weighted differences of neighbours; the reversed readouts of the slice are multiplied by
exp(i (p + q x)).

Reference:
    Bruder et al., Image reconstruction for echo planar imaging with nonequidistant k-space
    sampling, Magn Reson Med 23:311 (1992)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["corrected", "ghost_phase"]

ComplexArray = NDArray[np.complex64]


def ghost_phase(forwards: ComplexArray, backwards: ComplexArray) -> NDArray[np.complex64]:
    """exp(i (p + q x)) (sample,) that takes reversed readouts to the others.

    Args:
        forwards: (coil, sample), a readout, or the mean of several.
        backwards: likewise, already turned round.
    """
    product = (_profile(backwards).conj() * _profile(forwards)).sum(axis=0)
    slope = float(np.angle((product[:-1].conj() * product[1:]).sum()))
    x = np.arange(len(product)) - len(product) // 2
    offset = float(np.angle((product * np.exp(-1j * slope * x)).sum()))
    return np.asarray(np.exp(1j * (offset + slope * x)), np.complex64)


def corrected(line: ComplexArray, places: slice, phase: NDArray[np.complex64]) -> ComplexArray:
    """A reversed readout after the correction.

    Args:
        line: (coil, n), already turned round.
        places: the n samples of the readout's matrix that it fills.
        phase: see `ghost_phase`.
    """
    whole = np.zeros((line.shape[0], len(phase)), np.complex64)
    whole[:, places] = line
    import scipy.fft  # a quarter of a second, which other scans need not spend

    moved = scipy.fft.ifftshift(_profile(whole) * phase, axes=-1)
    back = scipy.fft.fftshift(scipy.fft.fft(moved, axis=-1, norm="ortho"), axes=-1)
    return np.asarray(back[:, places], np.complex64)


def _profile(line: NDArray[Any]) -> NDArray[Any]:
    import scipy.fft

    moved = scipy.fft.ifftshift(line, axes=-1)
    return np.asarray(scipy.fft.fftshift(scipy.fft.ifft(moved, axis=-1, norm="ortho"), axes=-1))
