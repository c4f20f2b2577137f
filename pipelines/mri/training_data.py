"""Complex training images of heads, made on the fly from magnitude slices: ``image_simulation``."""

from __future__ import annotations

from typing import Any, Literal, cast

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.pipelines.engine.real_data import data_root, stored
from sciddm.pipelines.mri.image_simulation import ImageSimulation

__all__ = ["BrainSlices", "load_slices"]

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


class BrainSlices(ImageSimulation, Dataset[Any]):
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
        super().__init__(patch, demodulated, off_resonance)
        self.split, self.seed = split, seed
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
