"""Centred orthonormal Fourier transforms: DC at index N//2, for even and odd N."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fft2c", "fftc", "ifft2c", "ifftc", "resized"]


def fftc(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """F x = fftshift(fft(ifftshift(x))), orthonormal: its adjoint is its inverse, ``ifftc``."""
    x = torch.fft.ifftshift(x, dim=dims)
    out: Tensor = torch.fft.fftshift(torch.fft.fftn(x, dim=dims, norm="ortho"), dim=dims)
    return out


def ifftc(k: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Inverse and adjoint of ``fftc``."""
    k = torch.fft.ifftshift(k, dim=dims)
    out: Tensor = torch.fft.fftshift(torch.fft.ifftn(k, dim=dims, norm="ortho"), dim=dims)
    return out


def fft2c(x: Tensor) -> Tensor:
    """``fftc`` over the last two axes."""
    return fftc(x, (-2, -1))


def ifft2c(k: Tensor) -> Tensor:
    """``ifftc`` over the last two axes."""
    return ifftc(k, (-2, -1))


def resized(k: Tensor, size: tuple[int, int]) -> Tensor:
    """Centred k-space (..., ky, kx) cut, or filled up with 0, to ``size``: DC stays DC.

    The image of more samples has smaller pixels of the same field of view; what was filled in does
    not change its norm.
    """
    for axis, wanted in zip((-2, -1), size, strict=True):
        have = k.shape[axis]
        if wanted < have:
            k = k.narrow(axis, have // 2 - wanted // 2, wanted)
        elif wanted > have:
            before = wanted // 2 - have // 2
            shapes = [list(k.shape), list(k.shape)]
            shapes[0][axis], shapes[1][axis] = before, wanted - have - before
            k = torch.cat([k.new_zeros(shapes[0]), k, k.new_zeros(shapes[1])], axis)
    return k
