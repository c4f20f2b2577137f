"""Whole lines of k-space: the same data with one Fourier transform fewer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.ledger import record
from sciddm.physics.fourier import ifftc
from sciddm.physics.measurement import Measurement
from sciddm.physics.mri.cartesian import CartesianMRI, is_one_coil_of_modulus_one
from sciddm.physics.operator import Linear

__all__ = ["SampledLines", "as_lines"]


class SampledLines(Linear):
    """y_c = R F_1 (S_c x): lines of k-space, the readout along them transformed back.

    With a mask of whole lines the transform along the lines is unitary and acts on all of them
    alike: in its image space the least-squares problem is the same, one-dimensional, and holds
    only the samples there are.

    Args:
        lines: sampled positions along the axis, DC at n // 2.
        maps: coil sensitivity maps (..., coil, y, x) complex.
        axis: phase encoding, -2 or -1.

    Domain: (..., 1, y, x) complex. Range: (..., coil, readout, line).
    """

    def __init__(self, lines: Tensor, maps: Tensor, axis: int) -> None:
        n = maps.shape[axis]
        # The centred transform is the plain one in another order and with other signs.
        order = lines - n // 2
        self._places = order % n
        angle = 2 * math.pi * (n // 2) / n * order.to(maps.real.dtype)
        self._turn = torch.polar(torch.ones_like(angle), angle)
        self._crosswise = axis == -2
        # Transforms along the last axis are three times as fast as along another.
        self._maps = self._turned(maps).contiguous()
        self._conjugate = self._maps.conj().resolve_conj()
        self._taken = maps.real.new_zeros(n).index_fill_(0, self._places, 1.0)
        self._unitary = is_one_coil_of_modulus_one(maps)

    def _turned(self, x: Tensor) -> Tensor:
        return x.mT if self._crosswise else x

    def forward(self, x: Tensor) -> Tensor:
        k = torch.fft.fft(self._maps * self._turned(x).contiguous(), norm="ortho")
        out: Tensor = self._turn * k[..., self._places]
        return out

    def backward(self, y: Tensor) -> Tensor:
        shape = (*y.shape[:-1], self._maps.shape[-1])
        k = y.new_zeros(shape).index_copy_(-1, self._places, self._turn.conj() * y)
        seen = torch.fft.ifft(k, norm="ortho").mul_(self._conjugate)
        return self._turned(seen.sum(-3, keepdim=True))

    def gram(self, x: Tensor) -> Tensor:
        """A^H A x = sum_c S_c^H F_1^H R^T R F_1 S_c x, where the signs of the transform cancel."""
        record(noperator=2)
        k = torch.fft.fft(self._maps * self._turned(x).contiguous()).mul_(self._taken)
        seen = torch.fft.ifft(k).mul_(self._conjugate)
        return self._turned(seen.sum(-3, keepdim=True))

    def ridge(self, y: Tensor, rho: float | Tensor, *, iterations: int = 10) -> Tensor:
        """A^H y / (1 + rho) for one coil of modulus 1, else by CG."""
        if not self._unitary:
            return super().ridge(y, rho, iterations=iterations)
        return self.adjoint(y / (1 + rho))


def as_lines(m: Measurement) -> Measurement:
    """A measurement of the same image, smaller where a ``CartesianMRI`` samples whole lines.

    Its misfit differs from that of ``m`` by a constant, so that minimisers, gradients and
    posteriors are the same, and its residual is that of ``m`` in other coordinates. Anything else,
    and data without coil maps, comes back as it is.
    """
    if not isinstance(m.A, CartesianMRI) or m.A.maps is None:
        return m
    mask, maps = m.A.mask, m.A.maps
    if mask.ndim != 2 or bool((mask * (1 - mask)).any()):
        return m
    for axis, readout in ((-2, -1), (-1, -2)):
        if bool((mask == mask.narrow(readout, 0, 1)).all()):
            lines = torch.nonzero(mask.select(readout, 0) > 0)[:, 0]
            y = ifftc(m.y, (readout,)).index_select(axis, lines)
            y = y.mT.contiguous() if axis == -2 else y
            return Measurement(y, SampledLines(lines, maps, axis), m.sigma, iterations=m.iterations)
    return m
