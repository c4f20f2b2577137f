"""MRI: undersampled k-space to images with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.mri.pipeline import QUALITIES, MRIReconstruction, Settings

__all__ = ["QUALITIES", "MRIReconstruction", "Settings"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch and MONAI take seconds to import, `sciddm --help` should not.
    if name in __all__:
        from sciddm.pipelines.mri import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
