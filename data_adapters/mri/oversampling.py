"""Readout oversampling, taken off one readout at a time.

The scanner samples a readout N / M times more densely than the image's field of view asks for, and
its filters leave nothing beyond it: the readout is y = E x with a profile x of M samples,

    E_jm = exp(-2 pi i (j - N//2)(m - M//2) / N) / sqrt(N)

What is returned is F x, the orthonormal centred FFT of the profile. For a whole readout E has
orthonormal columns and x = E^H y: the profile cropped to its middle. Of a partial echo only some
rows of E are there, and E^H y would blur what lies near the edge of what was measured (the missing
samples taken as 0). Its least-squares solution does not: x = E^+ y, of which those entries of F x
are kept that lie between measured samples. Singular values below a hundredth are left out, which
belong to profiles whose spectrum lies beyond the edge: nothing is extrapolated. Noise keeps its
level but for the few samples next to the edge, which have no neighbours to average with beyond it:
at most N / M times the power.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop"]

_SMALLEST = 1e-2


class Crop:
    """Takes readouts of an encoded matrix to that of the image's field of view.

    Args:
        samples: N of the encoded matrix.
        kept: M, at most N. If they are equal the samples stay as they are.
    """

    def __init__(self, samples: int, kept: int) -> None:
        self.samples, self.kept = samples, kept
        self._found: dict[tuple[int, int], tuple[NDArray[Any], NDArray[Any]]] = {}

    def __call__(
        self, first: int, line: NDArray[np.complex64]
    ) -> tuple[slice, NDArray[np.complex64]]:
        """One readout.

        Args:
            first: place of its first sample in the encoded matrix.
            line: (coil, sample).

        Returns:
            The places in the image's matrix that it samples, and the samples (coil, place).
        """
        count = line.shape[1]
        if self.kept == self.samples:
            return slice(first, first + count), line
        if count == self.samples:
            start = self.samples // 2 - self.kept // 2
            import scipy.fft  # a quarter of a second, which other scans need not spend

            profile = _centred(scipy.fft.ifft, line)[:, start : start + self.kept]
            return slice(0, self.kept), _centred(scipy.fft.fft, profile)
        matrix, places = self._partial(first, count)
        found = (line @ matrix.T).astype(np.complex64)
        return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0), found

    def _partial(self, first: int, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The matrix (place, sample) of a partial echo, and its places."""
        if (first, count) not in self._found:
            n, m = self.samples, self.kept
            x = np.arange(m) - m // 2
            j = np.arange(first, first + count) - n // 2
            encode = np.exp(-2j * np.pi * np.outer(j, x) / n) / np.sqrt(n)
            k = np.arange(m) - m // 2
            at = k * n / m + n // 2  # in the encoded matrix
            places = np.flatnonzero((at > first - 1e-6) & (at < first + count - 1 + 1e-6))
            transform = np.exp(-2j * np.pi * np.outer(k[places], x) / m) / np.sqrt(m)
            inverse = np.linalg.pinv(encode, rcond=_SMALLEST)
            self._found[first, count] = ((transform @ inverse).astype(np.complex64), places)
        return self._found[first, count]


def _centred(transform: Any, lines: NDArray[Any]) -> NDArray[Any]:
    import scipy.fft

    moved = scipy.fft.ifftshift(lines, axes=-1)
    return np.asarray(scipy.fft.fftshift(transform(moved, axis=-1, norm="ortho"), axes=-1))
