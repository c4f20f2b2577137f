"""Speech: enhancement of noisy and reverberant recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.physics.speech.stft import STFT
    from sciddm.pipelines.speech.pipeline import SpeechEnhancement

__all__ = ["STFT", "SpeechEnhancement"]

_MODULES = {
    "STFT": "sciddm.physics.speech.stft",
    "SpeechEnhancement": "sciddm.pipelines.speech.pipeline",
}
__getattr__, __dir__ = attach(__name__, _MODULES)
