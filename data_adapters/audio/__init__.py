"""Audio files: one reader and one writer for all formats, whole or block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciddm.data_adapters.audio.suffixes import FOREIGN, SUFFIXES
from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.data_adapters.audio.encoding import Encoding, encoding_for
    from sciddm.data_adapters.audio.metadata import Metadata
    from sciddm.data_adapters.audio.read import AudioFile, open_audio
    from sciddm.data_adapters.audio.recording import ArrayRecording, Recording
    from sciddm.data_adapters.audio.resampling import resample, resample_blocks
    from sciddm.data_adapters.audio.write import AudioSink, save_audio

__all__ = [
    "FOREIGN",
    "SUFFIXES",
    "ArrayRecording",
    "AudioFile",
    "AudioSink",
    "Encoding",
    "Metadata",
    "Recording",
    "encoding_for",
    "open_audio",
    "resample",
    "resample_blocks",
    "save_audio",
]

# The suffixes are asked for by the command line, which waits for no library of sound.
_PARTS = {
    "encoding": ("Encoding", "encoding_for"),
    "metadata": ("Metadata",),
    "read": ("AudioFile", "open_audio"),
    "recording": ("ArrayRecording", "Recording"),
    "resampling": ("resample", "resample_blocks"),
    "write": ("AudioSink", "save_audio"),
}
_MODULES = {name: f"{__name__}.{part}" for part, names in _PARTS.items() for name in names}
__getattr__, __dir__ = attach(__name__, _MODULES)
