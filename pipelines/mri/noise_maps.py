"""The noise map of a slice and its g-factor, in the scan's units and on its matrix."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.device import to_numpy
from sciddm.physics.fourier import fft2c, ifft2c, resized
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.mri.encoding import EncodedSlice
from sciddm.physics.mri.noise_map import noise_gain

__all__ = ["noise_maps"]

#: Least regularisation, in units of A^H A: what single precision still tells from 0.
_LEAST = 1e-4


def noise_maps(
    encoded: EncodedSlice, acceleration: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Standard deviation of the noise in the regularised SENSE image, and the g-factor.

    The regularisation is that of tissue of variance 1 in the prior's units, where bright tissue is
    near 1: rho = sigma^2.

    Args:
        encoded: the slice.
        acceleration: of the slice.

    Returns:
        noise (y, x) in the scan's units, and g (y, x); both 0 where there are no coil maps.
    """
    m, frame = encoded.measurement, encoded.frame
    operator, maps = m.A, frame.white_maps
    if isinstance(operator, CartesianMRI) and maps.shape[-2:] != frame.matrix:
        # On a finer grid noise grows beyond the scan's k-space, which the image does not show.
        maps = _on_matrix(maps, frame.matrix)
        operator = CartesianMRI(resized(operator.mask, frame.matrix), maps)
    norm = torch.linalg.vector_norm(maps, dim=0)
    gain = noise_gain(operator, maps if operator is not m.A else m.y, max(m.sigma**2, _LEAST))
    gain = gain.reshape(norm.shape) * (norm > 0)
    factor = gain * norm / math.sqrt(acceleration)
    return to_numpy(m.sigma * frame.gain * gain), to_numpy(factor)


def _on_matrix(maps: Tensor, matrix: tuple[int, int]) -> Tensor:
    """Maps (coil, y, x) on another matrix of the same field of view, their norm that of the nearest
    pixel."""
    coarse = ifft2c(resized(fft2c(maps), matrix))
    own = torch.linalg.vector_norm(maps, dim=0)
    places = [
        torch.round((torch.arange(n) - n // 2) * m / n + m // 2).long().clamp(0, m - 1)
        for n, m in zip(matrix, own.shape, strict=True)
    ]
    wanted = own[places[0][:, None], places[1]]
    found = torch.linalg.vector_norm(coarse, dim=0)
    out: Tensor = coarse * (wanted / found.clamp(min=1e-12))
    return out
