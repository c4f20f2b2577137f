"""A complex image of MRI made of a magnitude slice.

A magnitude slice says nothing about phase, and the slices at hand have one resolution and few
contrasts. Each image is therefore a fresh simulation of how an image reaches the prior at
reconstruction time:

1. magnitude: flips, rotation and zoom; a random monotone contrast curve; a smooth bias field;
2. phase: a smooth random field, as from B0 and receive phase; in some, fat that has turned
   against water, or the field of a cavity (``off_resonance``);
3. resolution: a centred crop of k-space (so that edges ring as they do in a scan);
4. the reconstruction's own normalisation: the phase of the low-resolution centre of k-space is
   removed and the image is divided by the low-resolution image's bright level, exactly as
   ``physics.mri.scaling`` does it with the calibration region;
5. a random patch.

After step 4 tissue is mostly real and near 1: the prior then knows that phase is smooth,
which an undersampled scan needs as much as it needs anatomy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.mri.off_resonance import fat_against_water, field_near_air
from sciddm.physics.mri.scaling import bright_level, low_resolution, unit_phase

__all__ = ["ImageSimulation", "smooth_field"]


class ImageSimulation:
    """Simulated complex images; tissue near 1, phase near 0.

    Args:
        patch: side of the random crop in pixels.
        demodulated: share of images whose phase is removed by step 4; the others keep it, so that
            a failed phase estimate is not outside the prior's experience.
        off_resonance: share of images with fat turned against water; half as many have the field
            of a cavity. Stripped brains have no fat.
        variety: factor on the shares of images with another contrast, bias field or resolution.
    """

    def __init__(
        self,
        patch: int,
        demodulated: float = 0.9,
        off_resonance: float = 0.4,
        variety: float = 1.0,
    ) -> None:
        self.patch, self.variety = patch, variety
        self.demodulated, self.off_resonance = demodulated, off_resonance

    def simulate(self, magnitude: Tensor, rng: np.random.Generator, *, fat: bool = True) -> Tensor:
        """One training image (1, patch, patch) from a magnitude slice (y, x) in 0..1."""
        return self._crop(self.image(magnitude, rng, fat=fat), rng)[None]

    def image(self, magnitude: Tensor, rng: np.random.Generator, *, fat: bool = True) -> Tensor:
        """The whole image (y, x) of ``simulate``: steps 1 to 4; ``fat``: it shows some."""
        image = self._intensity(self._geometry(magnitude, rng), rng)
        image = self._turned(image, rng, fat=fat)
        k = self._resolution(fft2c(image), rng)
        image = ifft2c(k)
        width = int(rng.integers(10, 33))
        low = low_resolution(k, (width, width))
        image = image / (bright_level(low) * float(rng.lognormal(0, 0.12)))
        if rng.random() < self.demodulated:
            image = image * unit_phase(low).conj()
        return image

    def _geometry(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        angle = float(rng.normal(0, 8)) if rng.random() < 0.6 else 0.0
        if rng.random() < 0.1:
            angle += 90.0
        zoom = float(rng.uniform(0.85, 1.15)) if rng.random() < 0.5 else 1.0
        flips = [-1.0 if rng.random() < p else 1.0 for p in (0.5, 0.15)]
        if angle == 0 and zoom == 1:  # no interpolation where none is needed
            axes = [axis for axis, sign in zip((1, 0), flips, strict=True) if sign < 0]
            return image.flip(axes)
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        h, w = image.shape
        theta = torch.tensor(
            [
                [cos * flips[0] / zoom, -sin * h / w / zoom, 0.0],
                [sin * w / h / zoom, cos * flips[1] / zoom, 0.0],
            ]
        )[None]
        grid = functional.affine_grid(theta, [1, 1, h, w], align_corners=False)
        turned = functional.grid_sample(
            image[None, None], grid, mode="bicubic", padding_mode="zeros", align_corners=False
        )
        return turned[0, 0].clamp(min=0)

    def _intensity(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        if rng.random() < 0.5 * self.variety:
            image = image ** float(rng.uniform(0.6, 1.6))
        if rng.random() < 0.25 * self.variety:
            # A smooth non-monotone curve exchanges the order of tissues, as sequences do; the
            # factor keeps air dark.
            knots = rng.uniform(0.15, 1.0, 6)
            curve = torch.from_numpy(np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, 6), knots))
            level = (image.clamp(0, 1) * 255).long()
            image = curve.float()[level] * (image / 0.12).clamp(max=1)
        if rng.random() < 0.3 * self.variety:
            # Spin density and gradient echo images: tissues nearly alike, air and bone dark.
            contrast = float(rng.uniform(0.1, 0.7))
            image = (image / 0.12).clamp(max=1) * (1 - contrast + contrast * image)
        if rng.random() < 0.5 * self.variety:
            field = smooth_field(image.shape, rng, cells=3)
            image = image * torch.exp(float(rng.uniform(0.05, 0.3)) * field)
        return image

    def _turned(self, image: Tensor, rng: np.random.Generator, *, fat: bool) -> Tensor:
        phase = self._phase(image.shape, rng)
        if rng.random() < 0.5 * self.off_resonance:
            phase = phase + field_near_air(image.shape, rng)
        turned = torch.polar(torch.ones_like(phase), phase)
        return turned * (
            fat_against_water(image, rng) if fat and rng.random() < self.off_resonance else image
        )

    def _phase(self, shape: torch.Size, rng: np.random.Generator) -> Tensor:
        phase = torch.full(shape, float(rng.uniform(-math.pi, math.pi)))
        for cells, spread in ((2, 1.5), (4, 0.8), (8, 0.25)):
            phase = phase + float(rng.uniform(0, spread)) * smooth_field(shape, rng, cells)
        if rng.random() < 0.3:  # field changes near air are steeper
            phase = phase + float(rng.uniform(0, 0.4)) * smooth_field(shape, rng, 16)
        return phase

    def _resolution(self, k: Tensor, rng: np.random.Generator) -> Tensor:
        if rng.random() < 1 - 0.6 * self.variety:
            return k
        share = math.exp(rng.uniform(math.log(0.45), 0))
        sizes = [2 * round(n * min(1.0, share * rng.uniform(0.9, 1.1)) / 2) for n in k.shape]
        y, x = ((n - m) // 2 for n, m in zip(k.shape, sizes, strict=True))
        return k[y : y + sizes[0], x : x + sizes[1]]

    def _crop(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        p = self.patch
        h, w = image.shape
        image = functional.pad(image, (0, max(0, p - w), 0, max(0, p - h)))
        h, w = image.shape
        y, x = int(rng.integers(h - p + 1)), int(rng.integers(w - p + 1))
        return image[y : y + p, x : x + p].to(torch.complex64)


def smooth_field(shape: Sequence[int], rng: np.random.Generator, cells: int) -> Tensor:
    """A random field of unit variance at its knots, cubic between ``cells`` cells a side."""
    knots = torch.from_numpy(rng.standard_normal((1, 1, cells + 1, cells + 1))).float()
    return functional.interpolate(knots, size=tuple(shape), mode="bicubic", align_corners=True)[
        0, 0
    ]
