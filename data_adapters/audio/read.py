"""Reading audio files: WAV, W64, FLAC, OGG, MP3, AIFF, CAF, AU by libsndfile, others by ffmpeg."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data_adapters.audio.decoder import blocks_of, format_of
from sciddm.data_adapters.audio.foreign import decode
from sciddm.data_adapters.audio.headers import FinishedHeader
from sciddm.data_adapters.audio.metadata import Metadata, read_metadata
from sciddm.data_adapters.audio.recording import Samples, check_samples
from sciddm.data_adapters.audio.suffixes import FOREIGN
from sciddm.data_adapters.checks import check_size, existing_file
from sciddm.errors import InputError

__all__ = ["AudioFile", "open_audio"]

# libsndfile's remark on sound that is shorter than a header says, by the kind of the file.
_CUT_OFF = {
    kind: re.compile(rf"^\s*{name}\s*:\s*(?P<all>\d+) \(should be (?P<there>\d+)\)", re.MULTILINE)
    for kind, name in (
        *((wav, "data") for wav in ("WAV", "WAVEX")),
        ("RF64", "Riff size"),
        ("AIFF", "SSND"),
        ("W64", "riff"),
        ("AU", "Data Size"),
        ("CAF", "data"),
    )
}
# Programs that write to a pipe cannot know the length, and write the largest number.
_UNKNOWN_LENGTH = 2**31 - 2**16


class AudioFile:
    """An audio file, read block by block; a `Recording`.

    Attributes:
        path: of the file.
        name, rate, channels, frames: see `Recording`.
        container, subtype: libsndfile's names ("WAV", "PCM_16").
        warnings: sentences about the file.

    Raises:
        InputError: no such file, not audio, or without samples.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        self.name = str(path)
        self.warnings: list[str] = []
        self._decoded = decode(self.path) if self.path.suffix.lower() in FOREIGN else None
        self._unfinished = False
        try:
            self._look()
        except InputError:
            # libsndfile refuses CAF files with an open end, or cut off.
            if not self._finish_header():
                raise
        if self.frames < 1 or (self.container == "CAF" and self.warnings):
            self._finish_header()  # libsndfile miscounts what is left of a CAF file
        if self.frames < 1:
            raise InputError(
                f"{path}: holds no samples, it is empty or cut off: copy or export it again"
            )

    def _look(self) -> None:
        form = format_of(self.path, unfinished=self._unfinished, decoded=self._decoded)
        self.rate, self.channels, self.frames = form.rate, form.channels, form.frames
        self.container, self.subtype, remarks = form.container, form.subtype, form.remarks
        if self._decoded is not None:  # the kind and the bits are ffmpeg's, not the file's
            self.container, self.subtype = self.path.suffix[1:].upper(), ""
        cut = _CUT_OFF[self.container].search(remarks) if self.container in _CUT_OFF else None
        if cut is not None and int(cut["all"]) < _UNKNOWN_LENGTH:
            self._warn_of_cut(int(cut["there"]), int(cut["all"]))
            if cut["all"] == "0":
                self._warn_of_nothing()

    def _warn_of_cut(self, there: int, announced: int) -> None:
        if there < announced:
            self.warnings.append(
                f"The file is cut off: {100 * (1 - there / announced):.1f} % of what its header "
                "announces is missing."
            )

    def _finish_header(self) -> bool:
        """Reads on where a recorder did not come to writing the length; whether that helps."""
        try:
            with FinishedHeader(self.path) as header:
                announced, length, is_open = header.announced, header.length, header.open
        except ValueError:
            return False
        self._unfinished = True
        self.warnings.clear()
        self._look()
        self._warn_of_cut(length, announced)
        if self.frames and not announced and not is_open:
            self._warn_of_nothing()
        return True

    def _warn_of_nothing(self) -> None:
        self.warnings.append(
            "The header announces no samples, as that of a recorder that was cut off: all that "
            f"follows it was read, {self.frames / self.rate:.2f} s."
        )

    @property
    def metadata(self) -> Metadata:
        """Tags, markers and the like, for an output of the same sound."""
        if self._decoded is not None:
            return Metadata(self.container)
        return read_metadata(self.path, self.container, unfinished=self._unfinished)

    def blocks(self, size: int) -> Iterator[Samples]:
        """See `Recording`.

        Raises:
            InputError: the file is damaged, ends early, or holds NaN.
        """
        read = 0
        for block in blocks_of(
            self.path, size, self.frames, unfinished=self._unfinished, decoded=self._decoded
        ):
            read += len(block)
            samples = np.ascontiguousarray(block.T, np.float32)
            check_samples(self.name, samples)
            yield samples
        if read < self.frames:
            raise InputError(
                f"{self.path}: damaged or cut off: {read} of {self.frames} samples can be read: "
                "copy or export it again"
            )


def open_audio(path: str | Path) -> xr.DataArray:
    """Reads a whole file.

    Returns:
        (channel, time) float32, integers scaled to [-1, 1), with the attributes rate (Hz),
        container, subtype, source and warnings.

    Raises:
        InputError: not there, not audio, damaged, or too large for the memory.
    """
    file = AudioFile(path)
    check_size(file.path, "sound", (file.channels, file.frames), 4)
    blocks = list(file.blocks(2**20))
    attrs = {
        "rate": file.rate,
        "container": file.container,
        "subtype": file.subtype,
        "source": file.path.name,
        "warnings": file.warnings,
    }
    return xr.DataArray(
        np.concatenate(blocks, axis=1), dims=("channel", "time"), name="audio", attrs=attrs
    )
