"""Where the rays of an X-ray scan run.

The plane has the axes x to the right and y upwards in mm, the axis of rotation at the origin. The
line (theta, s) is x cos(theta) + y sin(theta) = s. Angles are in radians and turn
counter-clockwise, as those of `skimage.transform.radon` (in degrees there).

Detector cells are numbered k = 0 ... D-1; cell k lies at (k - (D-1)/2) pitch + offset.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["Beam", "FanBeam", "ParallelBeam", "even_angles", "quarter_turns"]

Detector = Literal["flat", "equiangular"]

_SAME_ANGLE = 1e-6  # radians: 0.3 micrometres at the border of a body


@dataclass(frozen=True)
class Beam(ABC):
    """What all scans have.

    Args:
        angles: one per view, radians.
        cells: D, number of detector cells.
        pitch_mm: distance of neighbouring cells on the detector.
        offset_mm: the detector's middle along the detector, from where the central ray meets it.
    """

    angles: tuple[float, ...]
    cells: int
    pitch_mm: float
    offset_mm: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "angles", tuple(float(a) for a in self.angles))
        if not self.angles or not all(map(math.isfinite, self.angles)):
            raise ValueError("a scan needs at least one view, and finite angles")
        if self.cells < 1:
            raise ValueError(f"a detector needs at least one cell, not {self.cells}")
        if not (self.pitch_mm > 0 and math.isfinite(self.pitch_mm)):
            raise ValueError(f"the pitch of the detector must be positive, not {self.pitch_mm}")
        if not math.isfinite(self.offset_mm):
            raise ValueError("the offset of the detector must be finite")

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.angles)

    @property
    def positions(self) -> Tensor:
        """Where the cells lie on the detector, mm: (D,), float64."""
        k = torch.arange(self.cells, dtype=torch.float64)
        return (k - (self.cells - 1) / 2) * self.pitch_mm + self.offset_mm

    @abstractmethod
    def rays(self) -> tuple[Tensor, Tensor]:
        """theta (radians) and s (mm) of every ray: (V, D) each, float64."""


@dataclass(frozen=True)
class ParallelBeam(Beam):
    """Parallel rays: theta is the angle of the view, s the position of the cell."""

    def rays(self) -> tuple[Tensor, Tensor]:
        theta = torch.tensor(self.angles, dtype=torch.float64)
        return torch.meshgrid(theta, self.positions, indexing="ij")  # type: ignore[return-value]


@dataclass(frozen=True)
class FanBeam(Beam):
    """Rays from a source at R (-sin(beta), cos(beta)) for the view beta.

    The ray under the angle gamma from the central one is the line theta = beta + gamma,
    s = R sin(gamma) (Kak and Slaney, 1988, eq. 3.121 to 3.123). A cell at u mm is met under
    gamma = atan(u / L) on a flat detector, under gamma = u / L on an equiangular one, an arc about
    the source, L being the distance from source to detector.

    Args:
        source_axis_mm: R, from the source to the axis of rotation.
        source_detector_mm: L.
        detector: its form.
    """

    source_axis_mm: float = field(kw_only=True)
    source_detector_mm: float = field(kw_only=True)
    detector: Detector = field(default="equiangular", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.source_axis_mm < math.inf or not 0 < self.source_detector_mm < math.inf:
            raise ValueError("the source's distances from axis and detector must be positive")
        if self.detector not in ("flat", "equiangular"):
            raise ValueError(f"a detector is flat or equiangular, not {self.detector!r}")
        if float(self.fan_angles.abs().max()) >= math.pi / 2:
            raise ValueError("the detector spans 180 degrees or more, as seen from the source")

    @property
    def fan_angles(self) -> Tensor:
        """gamma of every cell: (D,), radians, float64."""
        ratio = self.positions / self.source_detector_mm
        return ratio.atan() if self.detector == "flat" else ratio

    def rays(self) -> tuple[Tensor, Tensor]:
        beta = torch.tensor(self.angles, dtype=torch.float64)[:, None]
        gamma = self.fan_angles
        s = self.source_axis_mm * gamma.sin()
        return beta + gamma, s.expand(self.views, -1)


def even_angles(views: int, arc: float = 2 * math.pi, start: float = 0.0) -> tuple[float, ...]:
    """Angles of evenly spaced views, start + arc k / views for k = 0 ... views-1; radians."""
    return tuple(start + arc * k / views for k in range(views))


def quarter_turns(angles: tuple[float, ...], shape: tuple[int, int]) -> tuple[int, int]:
    """(q, sense): the views are q equal parts, each a quarter turn (times sense) on from the last.

    q = 1 where they are not, or the image is not square.
    """
    views = np.asarray(angles)
    if shape[0] == shape[1]:
        for q in (4, 3, 2):
            if len(views) % q:
                continue
            parts = views.reshape(q, -1)
            for sense in (1, -1):
                off = parts - parts[0] - sense * np.pi / 2 * np.arange(q)[:, None]
                if np.abs((off + np.pi) % (2 * np.pi) - np.pi).max() < _SAME_ANGLE:
                    return q, sense
    return 1, 1
