"""MRI: undersampled k-space to images with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.pipelines.mri.pipeline import QUALITIES, MRIReconstruction, Settings

__all__ = ["QUALITIES", "MRIReconstruction", "Settings"]

_MODULES = {
    **dict.fromkeys(
        ("QUALITIES", "MRIReconstruction", "Settings"), "sciddm.pipelines.mri.pipeline"
    ),
}
__getattr__, __dir__ = attach(__name__, _MODULES)
