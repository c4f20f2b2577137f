"""Ultrasound: dehazing by joint posterior sampling of two priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing

__all__ = ["UltrasoundDehazing"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: the command line's help should not wait for torch.
    if name == "UltrasoundDehazing":
        from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing

        return UltrasoundDehazing
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
