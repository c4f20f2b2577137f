"""Undersampled scans as they were measured: training data of a prior without a clean image.

Every slice of the k-space files of a folder is brought to the prior's phase and scale, as
``sciddm mri reconstruct`` does it: noise covariance, coil maps, encoding.

Files are divided by their place: all files of a subfolder of ``folder`` go together, and each file
that lies in ``folder`` itself is for itself. Of these units, sorted by name, every tenth is for
validation, at least one. A folder for each patient keeps patients apart.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.data_adapters.mri import open_kspace
from sciddm.data_adapters.mri.save import KSPACE_SUFFIXES
from sciddm.errors import InputError
from sciddm.physics import CartesianMRI, Measurement
from sciddm.pipelines.mri.preparation import prepared
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.training.splitting import split as split_entries

__all__ = ["MeasuredSlices", "SplitSlices", "measured_files"]

_VALIDATE_EVERY = 10
_ITERATIONS = 8
Split = Literal["train", "validate"]


def measured_files(folder: Path, split: Split) -> list[Path]:
    """The k-space files of one side of the split; see the module.

    Raises:
        InputError: fewer than two units.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    units = [files for entry in entries if (files := _files(entry))]
    if len(units) < 2:
        raise InputError(
            f"{folder}: {len(units)} files or subfolders of k-space "
            f"({', '.join(KSPACE_SUFFIXES)}): training and validation need one each"
        )
    last = _VALIDATE_EVERY - 1
    validate = {k for k in range(len(units)) if k % _VALIDATE_EVERY == last} or {len(units) - 1}
    indices = [k for k in range(len(units)) if (k in validate) == (split == "validate")]
    return [file for k in indices for file in units[k]]


def _files(entry: Path) -> list[Path]:
    if entry.suffix in KSPACE_SUFFIXES:
        return [entry]
    if not entry.is_dir():
        return []
    return sorted(p for p in entry.rglob("*") if p.suffix in KSPACE_SUFFIXES)


class MeasuredSlices(Dataset[Any]):
    """The slices of undersampled Cartesian scans.

    An item holds ``kspace`` (coil, ky, kx) and ``maps`` (coil, y, x), both divided by the noise
    level, and ``mask`` (1, ky, kx).

    Args:
        folder: of k-space files; ``data.arguments.folder`` of the recipe.
        split: "train" or "validate"; see the module.
        coils: virtual coils to compress to; None for the pipeline's own number, 0 for none.
        seed: not used: nothing is random.
    """

    def __init__(
        self,
        folder: str = "",
        split: Split = "train",
        coils: int | None = None,
        seed: int = 0,
    ) -> None:
        if not folder:
            raise InputError("data.arguments.folder: give the folder of the k-space files")
        self.items: list[dict[str, Tensor]] = []
        left_out: list[str] = []
        for file in measured_files(Path(folder), split):
            self.items += _slices(file, coils, left_out)
        if left_out:
            warnings.warn(
                f"{folder}: left out {len(left_out)} slices or files, the first: {left_out[0]}",
                stacklevel=2,
            )
        if not self.items:
            raise InputError(f"{folder}: no slice of the split {split} can be used")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.items[index]

    @staticmethod
    def measurement(batch: dict[str, Tensor]) -> Measurement:
        """``kspace = mask F (maps x) + n`` with E|n|^2 = 1 of a batch of items."""
        operator = CartesianMRI(batch["mask"], batch["maps"])
        return Measurement(batch["kspace"], operator, 1.0, iterations=_ITERATIONS)


class SplitSlices(Dataset[Any]):
    """Slices in two parts, for a network that is trained by ``splitting_loss``.

    An item holds ``y`` (1, y, x), the least-squares image of the first part, and of the second
    ``kspace``, ``maps`` and ``mask``, as those of ``MeasuredSlices``.

    Args:
        folder, split, coils: see ``MeasuredSlices``.
        share: of the measured entries that are held out.
        centre: side of the square in the centre of k-space that the network is always shown.
        seed: of the fixed parts in validation.
    """

    def __init__(
        self,
        folder: str = "",
        split: Split = "train",
        coils: int | None = None,
        share: float = 0.4,
        centre: int = 8,
        seed: int = 0,
    ) -> None:
        self.slices: Dataset[Any] = MeasuredSlices(folder, split, coils)
        self.split, self.share, self.centre, self.seed = split, share, centre, seed

    def __len__(self) -> int:
        return len(self.slices)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = self.slices[index]
        generator = None
        if self.split == "validate":
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        first, second = split_entries(item["mask"], self.share, self.centre, generator)
        first_half = {"kspace": item["kspace"] * first, "maps": item["maps"], "mask": first}
        held_out = {"kspace": item["kspace"] * second, "maps": item["maps"], "mask": second}
        return {"y": least_squares(MeasuredSlices.measurement(first_half)), **held_out}

    measurement = staticmethod(MeasuredSlices.measurement)


def least_squares(m: Measurement) -> Tensor:
    """(A^H A + sigma^2 I)^-1 A^H y (..., 1, y, x): what a splitting network is shown."""
    return m.A.solve(m.A.adjoint(m.y), m.sigma**2, iterations=10)


def _slices(file: Path, coils: int | None, left_out: list[str]) -> Iterator[dict[str, Tensor]]:
    try:
        scan = prepared(open_kspace(file), None, None, coils, None)
        source = sampling_of(scan)
        covariance = source.covariance()
    except InputError as error:
        left_out.append(str(error))
        return
    if "trajectory" in scan:
        left_out.append(f"{file}: a scan along a trajectory: only Cartesian ones can be used")
        return
    maps = None
    if "maps" in scan:
        values = torch.from_numpy(scan["maps"].values.astype("complex64"))
        maps = values[:, source.alive]
    for number in range(source.kspace.shape[0]):
        try:
            own = None if maps is None else maps[number]
            m = source.encode(number, covariance, own, _ITERATIONS).measurement
        except InputError as error:
            left_out.append(f"{file}, slice {number}: {error}")
            continue
        assert isinstance(m.A, CartesianMRI)
        assert m.A.maps is not None
        yield {
            "kspace": m.y.cpu() / m.sigma,
            "maps": m.A.maps.cpu() / m.sigma,
            "mask": m.A.mask.cpu()[None],
        }
