"""Beamforming with an array of elements on a line: delay and sum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sciddm.physics.operator import Linear
from sciddm.physics.transmit_wave import TransmitWave

__all__ = ["DelayAndSum"]


class DelayAndSum(Linear):
    """Channel data (wave, element, time) to an image (row, line), summed coherently over waves.

    The echo of the point p = (z, x) reaches the element at x_e after

        tau = tau_w(p) + |p - (0, x_e)| / c

    with tau_w the arrival of the transmitted wave (`TransmitWave`). The image is the mean, over the
    waves that reach the point and over the elements within the aperture |x - x_e| <= z / (2 F), of
    the data at t = tau, linear between samples. For baseband data about a carrier each sample is
    turned by exp(2 pi i fc (tau - 2 r / c)), so that the image is baseband about the carrier
    2 fc / c along the range r of every line. Linear in the data; the adjoint spreads an image back
    over the channels. Montaldo et al., *Coherent plane-wave compounding*, 2009, eqs. 1 and 2;
    Jensen et al., *Synthetic aperture ultrasound imaging*, 2006, for virtual sources.

    Args:
        elements: (E,) positions x_e, m.
        waves: the transmissions.
        samples: of every channel.
        fs: their sampling frequency, Hz.
        z, x: positions of the pixels, m, each (row, line), or (row,) and (line,) of a rectangular
            grid; z positive.
        along: (row, line) or (row, 1), range r of the pixels along their line, m; z if None.
        c: speed of sound, m/s.
        t0: time of the first sample, s; one number, or one per wave.
        carrier: fc of baseband data, Hz; 0 for real ones.
        f_number: F; 0 for all elements.
        wavelength: by which focused beams are blurred at their focus, m.
        dtype: real type of delays and weights.

    Raises:
        ValueError: no waves, or sampling, speed or depths are not positive.
    """

    domain_ndim = 3
    range_ndim = 2

    def __init__(
        self,
        elements: Tensor,
        waves: Sequence[TransmitWave],
        samples: int,
        fs: float,
        z: Tensor,
        x: Tensor,
        *,
        along: Tensor | None = None,
        c: float = 1540.0,
        t0: float | Tensor = 0.0,
        carrier: float = 0.0,
        f_number: float = 1.5,
        wavelength: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not waves:
            raise ValueError("an image needs one transmission at least")
        if min(fs, c) <= 0 or float(z.min()) <= 0:
            raise ValueError("sampling frequency, speed of sound and depths must be positive")
        self.elements, self.waves = elements.double(), tuple(waves)
        self.samples, self.fs, self.c = samples, fs, c
        if z.ndim == 1:
            z, x = z[:, None], x[None]
        self.z, self.x = torch.broadcast_tensors(z.double(), x.double())
        self.along = self.z if along is None else along.double()
        self.t0 = torch.as_tensor(t0, dtype=torch.float64).expand(len(waves))
        self.carrier, self.f_number, self.dtype = carrier, f_number, dtype
        apertures = torch.stack([self._aperture(e) for e in range(len(elements))])
        self._reach = [wave.reaches(self.z, self.x, wavelength) for wave in waves]
        shots = torch.stack(self._reach).sum(0)
        # A pixel that no beam reaches stays 0.
        self._scale = 1 / (shots.clamp(min=1.0) * apertures.sum(0).clamp(min=1.0))

    def forward(self, x: Tensor) -> Tensor:
        image = torch.zeros((*x.shape[:-3], self.z.numel()), dtype=x.dtype)
        for w in range(len(self.waves)):
            for e in range(len(self.elements)):
                channel = x[..., w, e, :]
                pixels, taps = self._taps(w, e)
                image[..., pixels] += sum(channel[..., place] * weight for place, weight in taps)
        out: Tensor = image.unflatten(-1, self.z.shape)
        return out

    def backward(self, y: Tensor) -> Tensor:
        flat = y.flatten(-2)
        out = torch.zeros(
            (*y.shape[:-2], len(self.waves), len(self.elements), self.samples), dtype=y.dtype
        )
        for w in range(len(self.waves)):
            for e in range(len(self.elements)):
                pixels, taps = self._taps(w, e)
                for place, weight in taps:
                    out[..., w, e, :].index_add_(-1, place, flat[..., pixels] * weight.conj())
        return out

    def _aperture(self, e: int) -> Tensor:
        """Whether each pixel is seen by an element: 1 or 0, (row, line)."""
        if self.f_number == 0:
            return torch.ones_like(self.z)
        away = (self.x - self.elements[e]).abs()
        out: Tensor = (away <= self.z / (2 * self.f_number)).double()
        return out

    def _taps(self, w: int, e: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The pixels that a wave reaches and an element sees, (P,), and for each the two samples
        between which its delay lies, with their weights."""
        pixels = (self._aperture(e) * self._reach[w]).flatten().nonzero()[:, 0]
        z, x = self.z.flatten()[pixels], self.x.flatten()[pixels]
        back = torch.hypot(z, x - self.elements[e]) / self.c
        tau = self.waves[w].arrival(z, x, self.c) + back
        place = (tau - self.t0[w]) * self.fs
        lower = place.floor()
        inside = (lower >= 0) & (lower + 1 <= self.samples - 1)
        weight = torch.where(inside, self._scale.flatten()[pixels], 0.0)
        turned = weight.to(self.dtype)
        if self.carrier:
            along = self.along.expand_as(self.z).flatten()[pixels]
            phase = 2 * math.pi * self.carrier * (tau - 2 * along / self.c)
            turned = torch.polar(weight, phase)
            turned = turned.to(torch.complex64 if self.dtype == torch.float32 else turned.dtype)
        first = lower.clamp(0, self.samples - 1).long()
        second = (lower + 1).clamp(0, self.samples - 1).long()
        share = (place - lower).to(self.dtype)
        return pixels, [(first, turned * (1 - share)), (second, turned * share)]
