"""Ultrasound: dehazing by joint posterior sampling of two priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing

__all__ = ["UltrasoundDehazing"]

__getattr__, __dir__ = attach(
    __name__, {"UltrasoundDehazing": "sciddm.pipelines.ultrasound.pipeline"}
)
