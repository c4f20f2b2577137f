"""3D Cartesian k-space as slices across the readout.

Both phase encodings may be undersampled; the readout is measured whole, so that along it the
inverse FFT can be taken, after which every position is a 2D scan of its own:

    kspace[x, coil, ky, kz] = F_x^-1 kspace[coil, kz, ky, kx]           (orthonormal, centred)

In the scan ky is `ky` and kz is `kx`. Where readouts are partial echoes, what they lack is 0: that
blurs along x but mixes nothing across it, and the noise of a line falls with its samples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["slices_across_readout"]


def slices_across_readout(
    path: Path, kspace: NDArray[np.complex64], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.complex64], NDArray[np.bool_], float]:
    """Cuts a volume into slices.

    Args:
        path: of the file, for messages.
        kspace: (coil, kz, ky, kx).
        mask: (kz, ky, kx), True where measured.

    Returns:
        kspace (x, coil, ky, kz), mask (ky, kz), and the part of a readout that was measured.

    Raises:
        InputError: the readout itself is undersampled.
    """
    coils, nz, ny, nx = kspace.shape
    lines = mask.any(axis=-1)
    counts = mask[lines].sum(axis=-1)
    edges = np.diff(mask[lines].astype(np.int8), axis=-1) == 1
    pieces = edges.sum(axis=-1) + mask[lines][:, 0]
    if not lines.any() or (pieces > 1).any() or not mask[lines][:, nx // 2].all():
        raise InputError(
            f"{path}: a 3D scan whose readout (x) is undersampled too: only the two phase "
            "encodings may be"
        )
    import scipy.fft  # a sixth of a second that planes need not spend

    slices = np.empty((nx, coils, ny, nz), np.complex64)
    for c in range(coils):  # one coil at a time: the scan may fill most of the memory
        moved = scipy.fft.ifftshift(kspace[c], axes=-1)
        profile = scipy.fft.fftshift(scipy.fft.ifft(moved, axis=-1, norm="ortho"), axes=-1)
        slices[:, c] = profile.transpose(2, 1, 0)
    return slices, np.ascontiguousarray(lines.T), float(counts.mean() / nx)
