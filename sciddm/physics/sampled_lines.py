"""Whole lines of k-space: the same data with one Fourier transform fewer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.physics.fourier import ifftc
from sciddm.physics.mri import CartesianMRI
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

    def _turned(self, x: Tensor) -> Tensor:
        return x.mT if self._crosswise else x

    def forward(self, x: Tensor) -> Tensor:
        k = torch.fft.fft(self._maps * self._turned(x).contiguous(), norm="ortho")
        return self._turn * k.index_select(-1, self._places)

    def backward(self, y: Tensor) -> Tensor:
        shape = (*y.shape[:-1], self._maps.shape[-1])
        k = y.new_zeros(shape).index_copy_(-1, self._places, self._turn.conj() * y)
        seen = self._conjugate * torch.fft.ifft(k, norm="ortho")
        return self._turned(seen.sum(-3, keepdim=True))


def as_lines(operator: CartesianMRI, y: Tensor) -> tuple[Linear, Tensor]:
    """Operator and data of the same least squares, smaller where the mask is of whole lines.

    |A' x - y'|^2 differs from |A x - y|^2 by a constant, so that minimisers and gradients are the
    same. Without coil maps, or for another mask, both come back as they are.
    """
    mask, maps = operator.mask, operator.maps
    if mask.ndim != 2 or maps is None or bool((mask * (1 - mask)).any()):
        return operator, y
    for axis, readout in ((-2, -1), (-1, -2)):
        if bool((mask == mask.narrow(readout, 0, 1)).all()):
            lines = torch.nonzero(mask.select(readout, 0) > 0)[:, 0]
            there = ifftc(y, (readout,)).index_select(axis, lines)
            return SampledLines(lines, maps, axis), there.mT if axis == -2 else there
    return operator, y
