"""The singular values of an operator, and the coordinates in which they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciddm.physics.basic import Diagonal, Matrix
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.mri.cartesian import CartesianMRI
from sciddm.physics.operator import Linear

__all__ = ["Spectrum", "spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """A = U diag(s) V^H.

    ``analyse`` is V^H and ``synthesise`` V, of the domain; ``values`` is s, 0 where A sees nothing,
    in the shape of an element of V^H x; ``data`` is y -> s^-1 U^H y, 0 where s is 0.
    """

    analyse: Callable[[Tensor], Tensor]
    synthesise: Callable[[Tensor], Tensor]
    values: Tensor
    data: Callable[[Tensor], Tensor]


def spectrum(A: Linear) -> Spectrum:
    """The singular value decomposition of an operator that has a simple one.

    Args:
        A: a ``Matrix``, a ``Diagonal`` (``Mask``, ``Scaling``), or ``CartesianMRI`` of one coil
            without a map.

    Raises:
        ValueError: any other operator, whose decomposition would need a dense matrix.
    """
    if isinstance(A, Matrix):
        U, s, Vh = torch.linalg.svd(A.matrix, full_matrices=True)
        n, m = Vh.shape[-1], s.shape[-1]
        values = torch.cat([s, s.new_zeros(n - m)]) if n > m else s
        values = torch.where(values > 1e-12 * values.max(), values, 0.0)

        def data(y: Tensor) -> Tensor:
            inside = (y @ U.conj())[..., : values.numel()]
            inside = torch.nn.functional.pad(inside, (0, n - inside.shape[-1]))
            return _divided(inside, values)

        return Spectrum(lambda x: x @ Vh.mT, lambda v: v @ Vh.conj(), values, data)
    if isinstance(A, Diagonal):
        d = A.d
        return Spectrum(
            lambda x: x, lambda v: v, d.abs(), lambda y: _divided(d.conj() * y, d.abs() ** 2)
        )
    if isinstance(A, CartesianMRI) and A.maps is None:
        mask = A.mask
        # y has a coil axis of one; the image's channel is it.
        return Spectrum(fft2c, ifft2c, mask.to(torch.float64), lambda y: mask * y)
    raise ValueError(
        f"{type(A).__name__} has no singular value decomposition of simple form: take a Matrix, a "
        "Mask, or Cartesian MRI of one coil"
    )


def _divided(v: Tensor, values: Tensor) -> Tensor:
    return torch.where(values > 0, v / values.where(values > 0, 1.0), 0.0)
