"""PET/CT: tumour segmentation by a diffusion of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.petct.pipeline import TumourSegmentation

__all__ = ["TumourSegmentation"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line starts without torch.
    if name == "TumourSegmentation":
        from sciddm.pipelines.petct.pipeline import TumourSegmentation

        return TumourSegmentation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
