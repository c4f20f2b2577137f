"""MRI along any trajectory: coil sensitivities and a non-uniform Fourier transform."""

from __future__ import annotations

import copy
from functools import cached_property

import torch
from torch import Tensor

from sciddm.ledger import record
from sciddm.physics.nufft import density_compensation, nufft, nufft_adjoint
from sciddm.physics.operator import Linear

__all__ = ["NonCartesianMRI"]


class NonCartesianMRI(Linear):
    """y_c = E (S_c x): samples of multi-coil k-space along a trajectory (``nufft``).

    The normal operator E^H E is a convolution with the point spread function, computed on twice
    the field of view by FFT (Toeplitz embedding: Fessler et al., IEEE Trans Signal Process 53:3393,
    2005): no interpolation, and cheaper than E and E^H.

    Args:
        trajectory: (shot, sample, 2), positions (ky, kx) in cycles per field of view.
        maps: coil sensitivity maps (coil, y, x) complex; None means one coil of sensitivity 1.
        size: (y, x) of the image; that of the maps where they are given.

    Domain: (..., 1, y, x) complex. Range: (..., coil, shot, sample) complex.
    """

    def __init__(
        self, trajectory: Tensor, maps: Tensor | None = None, size: tuple[int, int] | None = None
    ) -> None:
        if maps is not None:
            size = (maps.shape[-2], maps.shape[-1])
        if size is None:
            raise ValueError("a trajectory does not say the size of the image: give maps or size")
        if trajectory.ndim != 3 or trajectory.shape[-1] != 2:
            raise ValueError(f"the trajectory is {tuple(trajectory.shape)}, not (shot, sample, 2)")
        limit = trajectory.new_tensor(size) / 2
        if bool((trajectory.abs() > 1.001 * limit).any()):
            raise ValueError(f"the trajectory leaves the k-space of a {size[0]} x {size[1]} image")
        self.trajectory, self.maps, self.size = trajectory, maps, size
        self._flat = trajectory.reshape(-1, 2)
        n, m = size
        real = trajectory.dtype if maps is None else maps.real.dtype
        # psf(p), p from -n to n - 1: E^H E on any pair of pixels of the image, times n m / 4.
        ones = self._flat.new_ones(len(self._flat), dtype=torch.complex128)
        psf = nufft_adjoint(ones, 2 * self._flat.double(), (2 * n, 2 * m)) * 2 / (n * m) ** 0.5
        psf[0], psf[:, 0] = 0, 0  # p = -n is no distance between two pixels
        self._kernel = torch.fft.fft2(torch.fft.ifftshift(psf)).real.to(real)

    @cached_property
    def density(self) -> Tensor:
        """(shot, sample), W with E^H W E ~ I where k-space is full: ``density_compensation``."""
        return density_compensation(self._flat, self.size).view(self.trajectory.shape[:2])

    def with_maps(self, maps: Tensor) -> NonCartesianMRI:
        """The same trajectory seen by these coils (coil, y, x); what is known of it is kept."""
        if tuple(maps.shape[-2:]) != tuple(self.size):
            raise ValueError(f"the maps are {tuple(maps.shape[-2:])}, the image {self.size}")
        other = copy.copy(self)
        other.maps = maps
        return other

    def forward(self, x: Tensor) -> Tensor:
        c = x if self.maps is None else self.maps * x
        out: Tensor = nufft(c, self._flat).unflatten(-1, self.trajectory.shape[:2])
        return out

    def backward(self, y: Tensor) -> Tensor:
        c = nufft_adjoint(y.flatten(-2), self._flat, self.size)
        return c if self.maps is None else (self.maps.conj() * c).sum(-3, keepdim=True)

    def gram(self, x: Tensor) -> Tensor:
        """A^H A x = sum_c S_c^H T S_c x, T the Toeplitz matrix of the point spread function."""
        record(noperator=2)
        n, m = self.size
        c = x if self.maps is None else self.maps * x
        wide = torch.fft.fft2(c, s=(2 * n, 2 * m))
        c = torch.fft.ifft2(self._kernel * wide)[..., :n, :m]
        out: Tensor = c if self.maps is None else (self.maps.conj() * c).sum(-3, keepdim=True)
        return out
