"""The representation of a prior of ultrasound, and a folder of one's own in it.

Contract of a prior of tissue, which ``sciddm ultrasound dehaze --tissue-model`` relies on:

=================  =========================================================================
array              real, (1, z, x): one frame, depth by lines
units              companded (mu = 255) over the full scale of its file: echoes within
                   about [-1, 1], amplitudes [0, 1]; dB of a picture are undone first
echoes             RF or IQ, sampled at 4 times the carrier
envelopes          envelopes, B-mode pictures and clips, on their own grid
=================  =========================================================================

A folder holds scans without haze, all of them echoes or all of them envelopes: HDF5 (zea, UFF,
sciddm's own), .npz, .mha, DICOM, pictures, clips. Of a clip eight frames are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciddm.companding import MU, compand
from sciddm.data_adapters.ultrasound import open_frames
from sciddm.data_adapters.ultrasound.files import FRAME_SUFFIXES
from sciddm.errors import InputError
from sciddm.physics.ultrasound.representation import represent
from sciddm.physics.ultrasound.waves import SAMPLES_PER_PERIOD
from sciddm.pipelines.own_prior.items import CroppedItems, TrainingPart
from sciddm.pipelines.own_prior.prepared import Prepared, Stack, load_prepared
from sciddm.pipelines.own_prior.sources import Kind, Source

__all__ = ["KIND", "OwnFrames", "check_one_kind", "is_echoes", "read_frames"]

KIND = Kind("ultrasound", FRAME_SUFFIXES, modality="US")

_FRAMES, _SILENT = 8, 0.02


def read_frames(source: Source) -> Stack:
    """Companded frames (frame, z, x) of a scan, and ``echoes``: 1 of RF and IQ, 0 of envelopes.

    Raises:
        InputError: unreadable, or a frequency of RF is missing.
    """
    data = open_frames(source.path)
    form = represent(data)
    count = data.sizes["frame"]
    places = np.unique(np.linspace(0, count - 1, min(_FRAMES, count)).round().astype(int))
    frames = [form.to_model(np.asarray(data["frames"].values[k])) for k in places]
    values = compand(torch.from_numpy(np.stack(frames).astype(np.float32))).numpy()
    echoes = float(data.attrs["kind"] in ("rf", "iq"))
    return Stack(values[np.abs(values).max((1, 2)) > _SILENT], {"echoes": echoes})


class OwnFrames(CroppedItems):
    """Crops (1, crop, crop) of a run's frames, companded, mirrored sideways at random.

    Args:
        prepared, split, length, seed, crop: as of ``CroppedItems``.
    """

    def __init__(
        self,
        prepared: str,
        split: TrainingPart = "train",
        length: int = 2000,
        seed: int = 0,
        crop: int = 64,
    ) -> None:
        super().__init__(prepared, split, length, seed, crop)
        self.representation = {
            "kind": "us-tissue",
            "data": "rf" if is_echoes(load_prepared(prepared)) else "envelope",
            "mu": MU,
            "samples_per_period": SAMPLES_PER_PERIOD,
        }

    def item(self, values: NDArray[Any], rng: np.random.Generator) -> Tensor:
        """See ``PreparedItems``."""
        # Beside the sector a picture is dark.
        frame = self.cropped(values, rng, lambda part: bool((np.abs(part) > _SILENT).mean() > 0.5))
        return torch.from_numpy(np.ascontiguousarray(frame))[None]


def is_echoes(prepared: Prepared) -> bool:
    """Whether the scans are echoes, not envelopes."""
    return prepared.entries[0].about["echoes"] > 0


def check_one_kind(prepared: Prepared) -> None:
    """Raises InputError where some scans are echoes and others envelopes."""
    kinds = {entry.about["echoes"]: entry.file for entry in prepared.entries}
    if len(kinds) > 1:
        raise InputError(
            f"{prepared.source}: echoes ({kinds[1.0]}) and envelopes ({kinds[0.0]}): a prior is of "
            "one kind, put them into folders of their own"
        )
