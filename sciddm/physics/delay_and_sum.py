"""Beamforming of plane waves with a linear array: delay and sum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sciddm.physics.operator import Linear

__all__ = ["PlaneWaveDAS"]


class PlaneWaveDAS(Linear):
    """Channel data (angle, element, time) to an image (z, x), summed coherently over angles.

    The echo of the point (z, x) reaches the element at x_e after

        tau = (z cos a + x sin a) / c + sqrt(z^2 + (x - x_e)^2) / c

    for a plane wave of angle a that passes the origin at t = 0. The image is the mean over angles
    and over the elements within the aperture |x - x_e| <= z / (2 F) of the data at t = tau, linear
    between samples. For baseband data about a carrier each sample is turned by
    exp(2 pi i fc (tau - 2 z / c)), so that the image is baseband about the carrier 2 fc / c along
    z. Linear in the data; the adjoint spreads an image back over the channels. Montaldo et al.,
    Coherent plane-wave compounding, 2009, eqs. 1 and 2.

    Args:
        elements: (E,) positions x_e, m.
        angles: (A,), rad.
        samples: of every channel.
        fs: their sampling frequency, Hz.
        z: (Z,), positive, m.
        x: (X,), m.
        c: speed of sound, m/s.
        t0: time of the first sample, s; one number, or one per angle.
        carrier: fc of baseband data, Hz; 0 for real ones.
        f_number: F; 0 for all elements.
        dtype: real type of delays and weights.
    """

    domain_ndim = 3
    range_ndim = 2

    def __init__(
        self,
        elements: Tensor,
        angles: Tensor,
        samples: int,
        fs: float,
        z: Tensor,
        x: Tensor,
        *,
        c: float = 1540.0,
        t0: float | Tensor = 0.0,
        carrier: float = 0.0,
        f_number: float = 1.5,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if min(fs, c) <= 0 or float(z.min()) <= 0:
            raise ValueError("sampling frequency, speed of sound and depths must be positive")
        self.elements, self.angles = elements.double(), angles.double()
        self.samples, self.fs, self.c = samples, fs, c
        self.z, self.x = z.double(), x.double()
        self.t0 = torch.as_tensor(t0, dtype=torch.float64).expand(len(angles))
        self.carrier, self.f_number, self.dtype = carrier, f_number, dtype
        apertures = torch.stack([self._aperture(e) for e in range(len(elements))])
        self._scale = 1 / (len(angles) * apertures.sum(0).clamp(min=1.0))

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:-3], len(self.z) * len(self.x))
        image = torch.zeros(shape, dtype=x.dtype)
        for a in range(len(self.angles)):
            for e in range(len(self.elements)):
                channel = x[..., a, e, :]
                for place, weight in self._taps(a, e):
                    image += channel[..., place] * weight
        return image.unflatten(-1, (len(self.z), len(self.x)))

    def backward(self, y: Tensor) -> Tensor:
        flat = y.flatten(-2)
        out = torch.zeros(
            (*y.shape[:-2], len(self.angles), len(self.elements), self.samples), dtype=y.dtype
        )
        for a in range(len(self.angles)):
            for e in range(len(self.elements)):
                for place, weight in self._taps(a, e):
                    out[..., a, e, :].index_add_(-1, place, flat * weight.conj())
        return out

    def _aperture(self, e: int) -> Tensor:
        """Whether each pixel is seen by an element: 1 or 0, (Z, X)."""
        if self.f_number == 0:
            return torch.ones(len(self.z), len(self.x), dtype=torch.float64)
        away = (self.x - self.elements[e]).abs()
        return (away[None] <= self.z[:, None] / (2 * self.f_number)).double()

    def _taps(self, a: int, e: int) -> list[tuple[Tensor, Tensor]]:
        """The two samples between which every pixel's delay lies, and their weights, (Z X,)."""
        z, x = self.z[:, None], self.x[None]
        angle = float(self.angles[a])
        away = z * math.cos(angle) + x * math.sin(angle)
        tau = (away + (z**2 + (x - self.elements[e]) ** 2).sqrt()) / self.c
        place = ((tau - self.t0[a]) * self.fs).flatten()
        lower = place.floor()
        between = place - lower
        weight = (self._aperture(e) * self._scale).flatten()
        inside = (lower >= 0) & (lower + 1 <= self.samples - 1)
        weight = torch.where(inside, weight, 0.0)
        turned = weight.to(self.dtype)
        if self.carrier:
            phase = 2 * math.pi * self.carrier * (tau - 2 * z / self.c).flatten()
            turned = torch.polar(weight, phase)
            turned = turned.to(torch.complex64 if self.dtype == torch.float32 else turned.dtype)
        first = lower.clamp(0, self.samples - 1).long()
        second = (lower + 1).clamp(0, self.samples - 1).long()
        share = between.to(self.dtype)
        return [(first, turned * (1 - share)), (second, turned * share)]
