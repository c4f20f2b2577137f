"""Noise of a parallel-imaging reconstruction, pixel by pixel, and its g-factor.

The regularised SENSE image of whitened data is x = (A^H A + rho)^-1 A^H y. Noise of level sigma in
y gives it the variance

    v(q) = sigma^2 [ B - rho B^2 ]_qq,     B = (A^H A + rho)^-1,

and the fully sampled scan, of the same sigma, v_0(q) = sigma^2 / sum_c |s_c(q)|^2. With the
acceleration R

    g(q) = sqrt( v(q) / (R v_0(q)) ),

which is 1 where the coils separate what the mask folds, and more where they do not. Where the data
say less than rho, the image is biased rather than noisy, and g falls below 1.

A mask of whole lines makes every column (or row) a problem of its own, whose B is computed; of
other masks, and along trajectories, v is the mean power of the images of pure noise.

Reference:
    Pruessmann et al., SENSE: sensitivity encoding for fast MRI, Magn Reson Med 42:952 (1999);
    Robson et al., Comprehensive quantification of signal-to-noise ratio and g-factor,
    Magn Reson Med 60:895 (2008), replicas
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.operator import Linear

__all__ = ["noise_gain"]

_PROBES, _STEPS = 32, 40
#: Columns that are inverted together: bounds memory.
_BYTES = 2**27


def noise_gain(
    A: Linear, data: Tensor, rho: float, *, probes: int = _PROBES, seed: int = 0
) -> Tensor:
    """Standard deviation of the regularised SENSE image for data with noise of level 1.

    Args:
        A: of one slice, with whitened maps (coil, y, x) where there are several coils.
        data: (coil, ky, kx) or (coil, shot, sample), whose shape and kind matter alone.
        rho: regularisation, > 0, in units of A^H A.
        probes: replicas of the noise where the mask is not of whole lines.
        seed: of the replicas.

    Returns:
        (y, x).

    Raises:
        ValueError: rho is not positive.
    """
    if not rho > 0:
        raise ValueError(f"a regularisation is positive, not {rho}")
    if isinstance(A, CartesianMRI):
        mask = A.mask.reshape(-1, *A.mask.shape[-2:])
        maps = torch.ones_like(mask[:1]).to(torch.complex64) if A.maps is None else A.maps
        maps = maps.reshape(-1, *maps.shape[-2:])
        if len(mask) == 1 and bool((mask[0] == mask[0, :, :1]).all()):
            return _of_columns(maps, mask[0, :, 0], rho)
        if len(mask) == 1 and bool((mask[0] == mask[0, :1]).all()):
            return _of_columns(maps.mT, mask[0, 0], rho).mT
    return _of_replicas(A, data, rho, probes, seed)


def _of_columns(maps: Tensor, lines: Tensor, rho: float) -> Tensor:
    """For lines (ky,) that were measured along the whole of x; (y, x)."""
    ny, nx = maps.shape[-2:]
    # The centred transform's phases cancel in A^H A, a convolution along y.
    kernel = torch.fft.ifft(torch.fft.ifftshift(lines.to(torch.complex64) ** 2))
    places = torch.arange(ny, device=maps.device)
    folding = kernel[(places[:, None] - places) % ny]
    eye = rho * torch.eye(ny, dtype=torch.complex64, device=maps.device)
    together = max(1, _BYTES // (16 * ny * ny))
    variances = []
    for first in range(0, nx, together):
        s = maps[:, :, first : first + together].permute(2, 0, 1)  # x, coil, y
        gram = folding * (s.conj().mT @ s)
        inverse = torch.linalg.inv(gram + eye)
        power = inverse.abs().square().sum(-1)
        variances.append(inverse.diagonal(dim1=-2, dim2=-1).real - rho * power)
    return torch.cat(variances).clamp(min=0).sqrt().mT


def _of_replicas(A: Linear, data: Tensor, rho: float, probes: int, seed: int) -> Tensor:
    """Root mean square of the images of pure noise."""
    generator = torch.Generator().manual_seed(seed)
    power: list[Tensor] = []
    for _ in range(probes):
        parts = torch.randn(*data.shape, 2, generator=generator) / math.sqrt(2)
        noise = torch.view_as_complex(parts).to(data)
        image = A.solve(A.adjoint(noise), rho, iterations=_STEPS)
        power.append(image.reshape(image.shape[-2:]).abs().square())
    return torch.stack(power).mean(0).sqrt()
