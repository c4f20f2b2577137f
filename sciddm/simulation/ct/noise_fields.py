"""Noise of low-dose images at any dose, from a few reconstructions of noise.

To first order the noise of a line integral is the sum of two independent parts, that of the quanta
and that of the electronics (see `dose`), and filtered back-projection is linear. So with N quanta
at full dose the image at a fraction f of it has the noise

    n = FBP(z1 / sqrt(N)) / sqrt(f) + FBP(z2 e / N) / f,      z1, z2 unit normal

Reconstructed once for the full dose, both parts give the noise of every dose. Orthogonal mixtures
of independent reconstructions are independent reconstructions, so three of them give any number of
different triples: for a slice and its two neighbours. And the windows of filtered back-projection
multiply a radial spectrum, so they can be applied to the image (`window_noise`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sciddm.physics import Projector, filtered_back_projection
from sciddm.physics.tomography.scanner import ELECTRONIC_SD, VIEWS, standard_beam
from sciddm.physics.tomography.scanner import full_dose_flux as flux_of
from sciddm.physics.tomography.units import MU_WATER, to_attenuation
from sciddm.random.streams import Streams

__all__ = ["FIELDS", "NoiseFields", "reconstruct_noise", "window_noise"]

#: Independent reconstructions of each part.
FIELDS = 3
_QUANTA, _ELECTRONIC = 0, 1


@dataclass(frozen=True)
class NoiseFields:
    """The noise of one slice at full dose, HU.

    Attributes:
        quantum: (FIELDS, y, x), of the quanta.
        electronic: (FIELDS, y, x), of the electronics.
    """

    quantum: Tensor
    electronic: Tensor

    def crop(self, rows: slice, columns: slice) -> NoiseFields:
        """A part of the slice."""
        return NoiseFields(self.quantum[:, rows, columns], self.electronic[:, rows, columns])

    def draw(self, dose: float, rng: np.random.Generator) -> Tensor:
        """Three independent noise images (3, y, x) at a fraction of the full dose."""
        quantum = _mixed(self.quantum, rng)
        electronic = _mixed(self.electronic, rng)
        out: Tensor = quantum / dose**0.5 + electronic / dose
        return out


def reconstruct_noise(
    hu: Tensor, pixel_mm: float, seed: int, *, views: int = VIEWS, batch: int = 8
) -> list[NoiseFields]:
    """The noise fields of images of one shape, with the standard scanner's full dose.

    Args:
        hu: (n, y, x), HU.
        pixel_mm: size of the pixels.
        seed: of the noise.
        views: of a turn.
        batch: images at a time.
    """
    shape = (int(hu.shape[-2]), int(hu.shape[-1]))
    beam = standard_beam(shape, pixel_mm, views)
    projector = Projector(beam, shape, pixel_mm)
    found = []
    for first in range(0, len(hu), batch):
        images = hu[first : first + batch, None].float()
        flux = flux_of(images, projector)[:, None, None, None]
        counts = flux * (-projector(to_attenuation(images).clamp(min=0))).exp()
        streams = Streams(seed, range(first, first + len(images)))
        triple = counts.expand(-1, FIELDS, -1, -1)
        noise = torch.cat(
            [
                streams.randn(triple, 0, _QUANTA) / counts.sqrt(),
                streams.randn(triple, 0, _ELECTRONIC) * ELECTRONIC_SD / counts,
            ],
            dim=1,
        )
        fields = filtered_back_projection(noise, beam, shape, pixel_mm) * (1000 / MU_WATER)
        found += [NoiseFields(f[:FIELDS], f[FIELDS:]) for f in fields]
    return found


def window_noise(noise: Tensor, softness: float) -> Tensor:
    """The noise as if it had been reconstructed with the window ((1 + cos(pi f))/2)^softness.

    f is the radial frequency in units of the Nyquist frequency: 0 is Ram-Lak, 1 is Hann. Periodic:
    what lies within a few pixels of a border is mixed with the opposite one.

    Args:
        noise: (..., y, x).
        softness: at least 0.
    """
    if softness == 0:
        return noise
    ny, nx = noise.shape[-2:]
    fy, fx = torch.fft.fftfreq(ny)[:, None] * 2, torch.fft.rfftfreq(nx) * 2
    f = (fy.square() + fx.square()).sqrt().clamp(max=1)
    window = ((1 + (math.pi * f).cos()) / 2).clamp(min=0) ** softness
    out: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise) * window, s=(ny, nx))
    return out


def _mixed(fields: Tensor, rng: np.random.Generator) -> Tensor:
    """Orthogonal mixtures of independent fields: as many independent ones, of the same law."""
    turn, _ = np.linalg.qr(rng.standard_normal((len(fields), len(fields))))
    matrix = torch.from_numpy(turn).to(torch.float32)
    return torch.einsum("ij,jyx->iyx", matrix, fields.float())
