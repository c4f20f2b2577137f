"""How samples are kept in a file: container, subtype (bits or codec), rate and channels.

The names are libsndfile's. An output keeps the input's subtype where its container can hold it;
otherwise it gets the next one that loses nothing audible: 16 bits stay 16 bits, more (float too)
become 24, and what a codec has decoded becomes 16 bits or the other container's own codec.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import soundfile

from sciddm.data_adapters.audio.suffixes import CONTAINERS, SUFFIXES
from sciddm.errors import OutputError

__all__ = ["Encoding", "encoding_for"]

_CODECS = {".ogg": "VORBIS", ".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}
#: Bits of the integer subtypes.
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_LINEAR = {*_BITS, "FLOAT", "DOUBLE"}
_WAV_LIMIT = 2**32 - 2**16  # a WAV header counts bytes in 32 bits


@dataclass(frozen=True)
class Encoding:
    """Container, subtype, rate in Hz and channels of an audio file."""

    container: str
    subtype: str
    rate: int
    channels: int

    @property
    def bits(self) -> int | None:
        """Bits of integer samples; None for floating point and codecs."""
        return _BITS.get(self.subtype)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest sample that can be kept; floating point keeps all."""
        if self.subtype in ("FLOAT", "DOUBLE"):
            return -float("inf"), float("inf")
        return -1.0, 1.0 - 2.0 ** (1 - (self.bits or 24))


def encoding_for(
    path: Path,
    rate: int,
    channels: int,
    *,
    container: str = "",
    subtype: str = "",
    frames: int = 0,
) -> Encoding:
    """The encoding of a file to be written.

    Args:
        path: its suffix chooses the container.
        rate: in Hz.
        channels: their number.
        container: of the input, kept where the suffix allows it (WAVEX under .wav).
        subtype: of the input, see the module's docstring; empty for 16 bits.
        frames: samples per channel, to find out whether they fit.

    Raises:
        OutputError: an unknown suffix, or the container cannot hold this rate or so many channels.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise OutputError(
            f"{path}: the suffix chooses the format, and it is none of {', '.join(SUFFIXES)}: "
            "rename"
        )
    known = CONTAINERS[suffix]
    same = container in known
    chosen = container if same else known[0]
    encoding = Encoding(chosen, _subtype(suffix, chosen, subtype, same), rate, channels)
    if suffix == ".wav" and frames * channels * ((encoding.bits or 64) // 8) > _WAV_LIMIT:
        encoding = Encoding("RF64", encoding.subtype, rate, channels)
    try:
        soundfile.SoundFile(
            io.BytesIO(),
            "w",
            samplerate=rate,
            channels=channels,
            format=encoding.container,
            subtype=encoding.subtype,
        ).close()
    except (soundfile.SoundFileError, ValueError) as error:
        raise OutputError(
            f"{path}: {encoding.container} with {encoding.subtype} cannot hold {channels} "
            f"channels at {rate} Hz: choose another suffix, such as .wav or .flac"
        ) from error
    return encoding


def _subtype(suffix: str, container: str, wanted: str, same: bool) -> str:
    # A codec is kept only in its own container: WAV can hold MP3, but nobody expects it to.
    if wanted and (same or wanted in _LINEAR) and soundfile.check_format(container, wanted):
        return wanted
    if suffix in _CODECS:
        return _CODECS[suffix]
    deep = wanted in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    return "PCM_24" if deep else "PCM_16"
