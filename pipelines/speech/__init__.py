"""Speech: enhancement of noisy and reverberant recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.pipelines.speech.pipeline import SpeechEnhancement
    from sciddm.pipelines.speech.stft import STFT

__all__ = ["STFT", "SpeechEnhancement"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch takes seconds to import, `sciddm --help` should not.
    if name == "SpeechEnhancement":
        from sciddm.pipelines.speech.pipeline import SpeechEnhancement

        return SpeechEnhancement
    if name == "STFT":
        from sciddm.pipelines.speech.stft import STFT

        return STFT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
