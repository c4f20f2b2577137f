"""What a model of PET/CT sees of a study, as it is stored with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from sciddm.device import to_device
from sciddm.errors import ModelError

__all__ = ["AIR_HU", "Representation"]

AIR_HU = -1000.0
_KIND = "petct-mask"
_MODALITIES = ("pet", "ct")


@dataclass(frozen=True)
class Representation:
    """Grid and scaling of the images, and how the model is used.

    Attributes:
        spacing_mm: [z, y, x] of the grid the model works on.
        modalities: its channels in their order: "pet", "ct".
        suv_clip: SUV above which all is the same.
        suv_power: the PET channel is 2 (SUV / suv_clip)^suv_power - 1.
        ct_window: HU of the ends of the CT channel, -1 and 1; beyond them all is the same.
        window: (z, y, x) voxels that the network sees at once.
        sigma_start: noise level at which sampling starts.
        sigma_end: that of its last evaluation.
        temperature: logits of the mean probability are divided by it.
        field_mm: (z, y, x), the largest field of view it was trained on; None for any.
        crop_mm: (z, y, x), of a usual one.
    """

    spacing_mm: tuple[float, float, float] = (3.27, 2.0, 2.0)
    modalities: tuple[str, ...] = _MODALITIES
    suv_clip: float = 20.0
    suv_power: float = 0.5
    ct_window: tuple[float, float] = (-200.0, 300.0)
    window: tuple[int, int, int] = (48, 80, 80)
    sigma_start: float = 200.0
    sigma_end: float = 1.0
    temperature: float = 1.0
    field_mm: tuple[float, float, float] | None = None
    crop_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("spacing_mm", "modalities", "ct_window", "window", "field_mm", "crop_mm"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.modalities or set(self.modalities) - set(_MODALITIES):
            known = ", ".join(_MODALITIES)
            raise ValueError(f"modalities are of {known}, not {self.modalities}")
        if min(*self.spacing_mm, self.suv_clip, self.suv_power, self.temperature) <= 0:
            raise ValueError("spacing, suv_clip, suv_power and temperature are above 0")
        if not self.ct_window[0] < self.ct_window[1]:
            raise ValueError(f"the window of CT, {self.ct_window}, is empty")

    @property
    def config(self) -> dict[str, Any]:
        """As it is stored in a model folder."""
        values = asdict(self)
        return {"kind": _KIND, **{k: _plain(v) for k, v in values.items()}}

    @classmethod
    def from_config(cls, stored: Mapping[str, Any], model: str) -> Representation:
        """The inverse of `config`.

        Raises:
            ModelError: it is of a model for something else, or has unknown keys.
        """
        values = dict(stored)
        if values.pop("kind", None) != _KIND:
            raise ModelError(f"model {model!r} is not one that segments PET/CT")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"model {model!r}: its representation is unusable ({error})"
            ) from error

    def channels(self, suv: ArrayLike, hu: ArrayLike) -> Tensor:
        """The network's input (modality, z, y, x) for PET and CT on one grid."""
        found = []
        for name in self.modalities:
            if name == "pet":
                share = np.clip(np.asarray(suv, np.float32), 0, self.suv_clip) / self.suv_clip
                found.append(2 * share**self.suv_power - 1)
            else:
                low, high = self.ct_window
                values = np.clip(np.asarray(hu, np.float32), low, high)
                found.append(2 * (values - low) / (high - low) - 1)
        return to_device(np.stack(found).astype(np.float32))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
