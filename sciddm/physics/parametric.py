"""Operators with a few unknown parameters: gain, phase, point spread function, frequency offset.

A family is a function of parameters phi, one row for each item (B, P), that returns the operator.
``guidance.Blind`` estimates phi along a run, ``hypotheses.weigh`` compares values by evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciddm.physics.basic import Diagonal
from sciddm.physics.operator import Linear

__all__ = ["Family", "GaussianBlur", "blurs", "frequency_offsets", "gains", "phase_ramps"]

Family = Callable[[Tensor], Linear]


def gains(A: Linear) -> Family:
    """phi = (g,): y = g A x, such as a receiver's gain."""

    def operator(phi: Tensor) -> Linear:
        return Diagonal(_column(phi, 0, A.range_ndim), A.range_ndim) @ A

    return operator


def phase_ramps(A: Linear, shape: Sequence[int]) -> Family:
    """phi = (p, r_1, ...): y = A (e^{i (p + sum r_k u_k)} x), u_k from -1 to 1 along axis k.

    Args:
        A: of complex images.
        shape: of their last axes.
    """
    ndim, axes = A.domain_ndim, len(shape)

    def operator(phi: Tensor) -> Linear:
        angle = _column(phi, 0, ndim)
        for k, n in enumerate(shape):
            line = torch.linspace(-1, 1, n, dtype=phi.dtype, device=phi.device)
            angle = angle + _column(phi, 1 + k, ndim) * line.reshape(n, *[1] * (axes - 1 - k))
        return A @ Diagonal(torch.complex(angle.cos(), angle.sin()), ndim)

    return operator


class GaussianBlur(Linear):
    """Convolution with a Gaussian of standard deviation ``width`` pixels, periodic.

    exp(-2 pi^2 width^2 |f|^2) on the Fourier transform, f in cycles a pixel; it is its own adjoint,
    and its regularised inverse has a closed form.

    Args:
        width: pixels, one for all items or one each (B,).
        shape: of the last axes, which are blurred.
        ndim: axes of one element.
    """

    def __init__(self, width: float | Tensor, shape: Sequence[int], ndim: int = 3) -> None:
        self.shape = tuple(shape)
        self.domain_ndim = self.range_ndim = ndim
        if not isinstance(width, Tensor):
            width = torch.tensor(width, dtype=torch.float64)
        squared = torch.zeros((), dtype=width.dtype, device=width.device)
        for k, n in enumerate(self.shape):
            f = torch.fft.fftfreq(n, dtype=width.dtype, device=width.device)
            squared = squared + f.reshape(n, *[1] * (len(self.shape) - 1 - k)) ** 2
        wide = width.reshape(*width.shape, *[1] * ndim) if width.ndim else width
        self.transfer = torch.exp(-2 * torch.pi**2 * wide**2 * squared)

    def _filter(self, x: Tensor, transfer: Tensor) -> Tensor:
        axes = tuple(range(-len(self.shape), 0))
        out = torch.fft.ifftn(transfer * torch.fft.fftn(x, dim=axes), dim=axes)
        answer: Tensor = (out if x.is_complex() else out.real).to(x.dtype)
        return answer

    def forward(self, x: Tensor) -> Tensor:
        return self._filter(x, self.transfer)

    def backward(self, y: Tensor) -> Tensor:
        return self._filter(y, self.transfer)

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 0, start: Tensor | None = None
    ) -> Tensor:
        """(A^H A + rho I)^-1 rhs, exactly (pseudo-inverse for rho = 0)."""
        weight = self.transfer**2 + rho
        smallest = torch.finfo(weight.dtype).eps ** 2
        inverse = torch.where(weight > smallest, 1 / weight.clamp(min=smallest), 0.0)
        return self._filter(rhs, inverse)


def blurs(shape: Sequence[int], ndim: int = 3, A: Linear | None = None) -> Family:
    """phi = (width,): y = A (Gaussian blur of ``width`` pixels of x), A the identity if not given.

    Args:
        shape: of the last axes, which are blurred.
        ndim: axes of one element.
        A: what follows the blur.
    """

    def operator(phi: Tensor) -> Linear:
        blur = GaussianBlur(phi[:, 0], shape, ndim)
        return blur if A is None else A @ blur

    return operator


def frequency_offsets(A: Linear, times: Tensor) -> Family:
    """phi = (f,): y = e^{2 pi i f t} A x with t the time at which each entry of y is read out.

    A receiver that is off resonance by f, in MRI; with readout times in ms f is in kHz.

    Args:
        A: of complex data.
        times: (...) beside y.
    """

    def operator(phi: Tensor) -> Linear:
        angle = 2 * torch.pi * _column(phi, 0, A.range_ndim) * times
        return Diagonal(torch.complex(angle.cos(), angle.sin()), A.range_ndim) @ A

    return operator


def _column(phi: Tensor, k: int, ndim: int) -> Tensor:
    """Parameter k of each item (B, 1, ..., 1)."""
    return phi[:, k].reshape(-1, *[1] * ndim)
