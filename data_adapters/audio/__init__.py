"""Audio files: one reader and one writer for all formats, whole or block by block."""

from sciddm.data_adapters.audio.encoding import SUFFIXES, Encoding, encoding_for
from sciddm.data_adapters.audio.foreign import FOREIGN
from sciddm.data_adapters.audio.metadata import Metadata
from sciddm.data_adapters.audio.read import AudioFile, open_audio
from sciddm.data_adapters.audio.recording import ArrayRecording, Recording
from sciddm.data_adapters.audio.resample import resample, resample_blocks
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
