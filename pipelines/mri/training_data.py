"""Complex training images made on the fly from magnitude slices.

A magnitude slice says nothing about phase, and the slices at hand have one resolution and few
contrasts. Each item is therefore a fresh simulation of how an image reaches the prior at
reconstruction time:

1. magnitude: flips, rotation and zoom; a random monotone contrast curve; a smooth bias field;
2. phase: a smooth random field, as from B0 and receive phase; in some, fat that has turned
   against water, or the field of a cavity (``off_resonance``);
3. resolution: a centred crop of k-space (so that edges ring as they do in a scan);
4. the reconstruction's own normalisation: the phase of the low-resolution centre of k-space is
   removed and the image is divided by the low-resolution image's bright level, exactly as
   ``pipelines.mri.scaling`` does it with the calibration region;
5. a random patch.

After step 4 brain tissue is mostly real and near 1: the prior then knows that phase is smooth,
which an undersampled scan needs as much as it needs anatomy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.physics.fourier import fft2c, ifft2c
from sciddm.physics.mri.off_resonance import fat_against_water, field_near_air
from sciddm.physics.mri.scaling import bright_level, low_resolution, unit_phase
from sciddm.pipelines.engine.real_data import data_root, stored

__all__ = ["BrainSlices", "load_slices", "smooth_field"]

TRAIN_PATIENTS = ("01", "03", "04", "12", "20")
VALIDATION_PATIENTS = ("09", "19")
# How often each group is drawn: limbs and stripped brains only widen the prior.
_SHARES = {"brain": 0.75, "skullstripped": 0.17, "limb": 0.08}


def load_slices(root: str | None, split: Literal["train", "validate"]) -> dict[str, list[Any]]:
    """Magnitude slices (uint8) of the split's patients by group; nearly empty ones are left out.

    Train: "brain" openms patients 01 03 04 12 20, "skullstripped" 07 and 26 (19 is a validation
    patient), "limb" T1 of STS 001-036. Validate: openms patients 09 and 19 only.
    """
    folder = data_root(root) / "mri"
    patients = TRAIN_PATIENTS if split == "train" else VALIDATION_PATIENTS
    groups: dict[str, list[Any]] = {}
    try:
        with h5py.File(folder / "openms_brain_axial_224x192_u8.h5") as file:
            who = [p.decode()[-2:] for p in stored(file, "patient")]
            images = stored(file, "images")
            groups["brain"] = [im for im, p in zip(images, who, strict=True) if p in patients]
        if split == "train":
            with h5py.File(folder / "openms_mni_skullstripped_u8.h5") as file:
                groups["skullstripped"] = [
                    im
                    for name in ("patient07", "patient26")
                    for image in cast("h5py.Group", file[name])
                    for im in stored(file, f"{name}/{image}")
                ]
            with h5py.File(folder / "sts_t1_limb_1p5mm.h5") as file:
                groups["limb"] = [
                    im for name in sorted(file) if int(name[-3:]) <= 36 for im in stored(file, name)
                ]
    except OSError as error:
        raise InputError(f"{folder}: training data cannot be read ({error})") from error
    return {k: [im for im in v if (im > 20).mean() > 0.1] for k, v in groups.items()}


class BrainSlices(Dataset[Any]):
    """Simulated complex images (1, patch, patch), complex64; tissue near 1, phase near 0.

    Args:
        root: folder of the real data, or None for $SCIDDM_DATA.
        split: "train" (endless variation) or "validate" (a fixed set).
        patch: side of the random crop in pixels.
        length: items per epoch (train) or in all (validate).
        off_resonance: share of items with fat turned against water; half as many have the field
            of a cavity. Stripped brains have no fat.
        demodulated: share of items whose phase is removed by step 4; the others keep it, so that
            a failed phase estimate is not outside the prior's experience.
        crops: training patches cut from each simulated image, in consecutive calls: a simulation
            costs as much as half a training step of one patch.
        seed: with the item's index and the epoch's draw it fixes every random choice.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Literal["train", "validate"] = "train",
        patch: int = 96,
        length: int = 20_000,
        demodulated: float = 0.9,
        off_resonance: float = 0.4,
        crops: int = 1,
        seed: int = 0,
    ) -> None:
        groups = load_slices(root, split)
        self.slices = [im for group in groups.values() for im in group]
        self.fat = [group != "skullstripped" for group, images in groups.items() for _ in images]
        share = np.concatenate([np.full(len(v), _SHARES[k] / len(v)) for k, v in groups.items()])
        self.share = share / share.sum()
        self.split, self.patch, self.seed = split, patch, seed
        self.demodulated, self.off_resonance = demodulated, off_resonance
        self.length = length if split == "train" else 128
        self.crops = crops if split == "train" else 1
        self._left: list[Tensor] = []  # patches already cut

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        # Training draws a new seed each time (from torch's global generator, which Lightning
        # seeds and restores); validation items are the same every time.
        if self._left:
            return self._left.pop()
        fresh = int(torch.randint(2**31, ())) if self.split == "train" else 0
        rng = np.random.default_rng([self.seed, index, fresh])
        drawn = int(rng.choice(len(self.slices), p=self.share))
        magnitude = torch.from_numpy(self.slices[drawn]).float() / 255
        image = self.image(magnitude, rng, fat=self.fat[drawn])
        self._left = [self._crop(image, rng)[None] for _ in range(self.crops)]
        return self._left.pop()

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
        if rng.random() < 0.5:
            image = image ** float(rng.uniform(0.6, 1.6))
        if rng.random() < 0.25:
            # A smooth non-monotone curve exchanges the order of tissues, as sequences do; the
            # factor keeps air dark.
            knots = rng.uniform(0.15, 1.0, 6)
            curve = torch.from_numpy(np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, 6), knots))
            level = (image.clamp(0, 1) * 255).long()
            image = curve.float()[level] * (image / 0.12).clamp(max=1)
        if rng.random() < 0.3:
            # Spin density and gradient echo images: tissues nearly alike, air and bone dark.
            contrast = float(rng.uniform(0.1, 0.7))
            image = (image / 0.12).clamp(max=1) * (1 - contrast + contrast * image)
        if rng.random() < 0.5:
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
        if rng.random() < 0.4:
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
