"""Centred orthonormal Fourier transforms: DC at index N//2, for even and odd N."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fft2c", "fftc", "ifft2c", "ifftc"]


def fftc(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """F x = fftshift(fft(ifftshift(x))), orthonormal: its adjoint is its inverse, ``ifftc``."""
    x = torch.fft.ifftshift(x, dim=dims)
    return torch.fft.fftshift(torch.fft.fftn(x, dim=dims, norm="ortho"), dim=dims)


def ifftc(k: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Inverse and adjoint of ``fftc``."""
    k = torch.fft.ifftshift(k, dim=dims)
    return torch.fft.fftshift(torch.fft.ifftn(k, dim=dims, norm="ortho"), dim=dims)


def fft2c(x: Tensor) -> Tensor:
    """``fftc`` over the last two axes."""
    return fftc(x, (-2, -1))


def ifft2c(k: Tensor) -> Tensor:
    """``ifftc`` over the last two axes."""
    return ifftc(k, (-2, -1))
