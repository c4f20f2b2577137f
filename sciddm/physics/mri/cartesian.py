"""Cartesian MRI: coil sensitivities, Fourier transform, sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.ledger import record
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.operator import Linear

__all__ = ["CartesianMRI"]


class CartesianMRI(Linear):
    """y_c = M F (S_c x): multi-coil k-space of an image (Pruessmann et al., SENSE, 1999).

    F is the centred orthonormal FFT over the last two axes, S_c the coil sensitivity maps, M the
    sampling mask.

    Args:
        mask: sampled positions, bool or 0/1, of a shape that broadcasts against (..., coil, ky,
            kx): (ky, kx), or (B, 1, ky, kx) for one mask per item. Any pattern.
        maps: coil sensitivity maps (..., coil, y, x) complex; None means one coil of
            sensitivity 1.

    Domain: (..., 1, y, x) complex. Range: (..., coil, ky, kx) complex, 0 where not sampled.
    """

    def __init__(self, mask: Tensor, maps: Tensor | None = None) -> None:
        size = mask.shape[-2:]
        if maps is not None and maps.shape[-2:] != size:
            raise ValueError(f"mask {tuple(size)} and maps {tuple(maps.shape[-2:])} differ in size")
        self.mask = mask.to(torch.float32 if maps is None else maps.real.dtype)
        self.maps = maps
        # With one coil of modulus 1 the normal operator is diagonal in k-space.
        self._unitary = maps is None or is_one_coil_of_modulus_one(maps)

        # ``gram`` transforms only along the axes along which the mask changes.
        changes = [
            axis for axis in (-2, -1) if bool((self.mask != self.mask.narrow(axis, 0, 1)).any())
        ]
        self._axes = tuple(changes) or (-1,)
        power = torch.fft.ifftshift(self.mask**2, dim=self._axes)
        for axis in {-2, -1} - set(self._axes):
            power = power.narrow(axis, 0, 1)
        self._power = power

        # For even sizes the centred transform is the plain one between two checkerboards of
        # signs, which maps and mask can carry: that saves the copies that shifts make.
        self._signed = None
        if maps is not None and not any(n % 2 for n in size):
            signs = torch.ones(size, dtype=self.mask.dtype, device=mask.device)
            signs[1::2] *= -1
            signs[:, 1::2] *= -1
            turn = (-1) ** (sum(size) // 2)
            signed = maps * signs
            self._signed = (self.mask * signs * turn, signed, signed.conj().resolve_conj())
        self._conjugate = None if maps is None else maps.conj().resolve_conj()

    def forward(self, x: Tensor) -> Tensor:
        if self._signed is not None:
            mask, maps, _ = self._signed
            out: Tensor = mask * torch.fft.fft2(maps * x, norm="ortho")
            return out
        return self.mask * fft2c(x if self.maps is None else self.maps * x)

    def backward(self, y: Tensor) -> Tensor:
        if self._signed is not None:
            mask, _, conjugate = self._signed
            out: Tensor = (conjugate * torch.fft.ifft2(mask * y, norm="ortho")).sum(
                -3, keepdim=True
            )
            return out
        x = ifft2c(self.mask * y)
        return x if self._conjugate is None else (self._conjugate * x).sum(-3, keepdim=True)

    def gram(self, x: Tensor) -> Tensor:
        """A^H A x = sum_c S_c^H F^H M^2 F S_c x.

        F^H M^2 F is a convolution: it commutes with the shifts of the centred transforms, which
        therefore cancel, and along an axis of which M does not depend it does nothing.
        """
        record(noperator=2)
        c = x if self.maps is None else self.maps * x
        c = torch.fft.ifftn(self._power * torch.fft.fftn(c, dim=self._axes), dim=self._axes)
        out: Tensor = c if self._conjugate is None else (self._conjugate * c).sum(-3, keepdim=True)
        return out

    def solve(
        self, rhs: Tensor, rho: float | Tensor, *, iterations: int = 10, start: Tensor | None = None
    ) -> Tensor:
        """(A^H A + rho I)^-1 rhs: in closed form for one coil of modulus 1, else by CG."""
        if not self._unitary:
            return super().solve(rhs, rho, iterations=iterations, start=start)
        k = fft2c(rhs if self.maps is None else self.maps * rhs)
        weight = self.mask**2 + rho
        x = ifft2c(torch.where(weight > 0, k / weight.where(weight > 0, 1.0), 0.0))
        return x if self.maps is None else self.maps.conj() * x

    def ridge(self, y: Tensor, rho: float | Tensor, *, iterations: int = 10) -> Tensor:
        """A^H (M^2 + rho)^-1 y for one coil of modulus 1, else by CG."""
        if not self._unitary:
            return super().ridge(y, rho, iterations=iterations)
        weight = self.mask**2 + rho
        return self.adjoint(torch.where(weight > 0, y / weight.where(weight > 0, 1.0), 0.0))


def is_one_coil_of_modulus_one(maps: Tensor) -> bool:
    """Whether maps (..., coil, y, x) change the phase of an image alone."""
    return maps.shape[-3] == 1 and bool(torch.allclose(maps.abs(), maps.real.new_ones(())))
