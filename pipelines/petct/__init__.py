"""PET/CT: tumour segmentation by a diffusion of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.pipelines.petct.pipeline import TumourSegmentation

__all__ = ["TumourSegmentation"]

__getattr__, __dir__ = attach(__name__, {"TumourSegmentation": "sciddm.pipelines.petct.pipeline"})
