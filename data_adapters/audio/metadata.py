"""What an audio file says beside its samples: tags, time code, markers, pictures.

Between two files of one kind everything is copied as it is: chunks of WAV (bext, cue, LIST, iXML,
id3 and others) and AIFF, blocks of FLAC (comments, pictures, cue sheets), ID3 tags of MP3. What
describes the samples themselves (format, peak, sample counts) is left to the writer. Elsewhere the
ten fields that all kinds share are carried: title, artist, album, date, comment and the like. What
could not be carried is told.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import soundfile

from sciddm.data_adapters.audio.decoder import named
from sciddm.data_adapters.audio.headers import FinishedHeader
from sciddm.data_adapters.isolation import isolated

__all__ = ["Metadata", "embed", "read_metadata"]

_RIFF = ("WAV", "WAVEX", "RF64")
_NO_STRINGS = ("W64", "AU")
#: Chunks that describe or hold the samples, or nothing.
_OWN = {
    *(b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"JUNK", b"junk", b"PAD ", b"FLLR", b"levl"),
    *(b"COMM", b"SSND", b"FVER"),
}
_LARGEST = 2**26  # bytes of one chunk
#: FLAC's blocks for comments, pictures, cue sheets and applications.
_FLAC_BLOCKS = {2, 4, 5, 6}


@dataclass(frozen=True)
class Metadata:
    """All there is beside the samples.

    Attributes:
        container: that it comes from, by libsndfile's name.
        strings: the fields that all kinds of files share.
        parts: (name, content) of chunks, FLAC blocks or ID3 tags.
        others: names of tags that only this kind of file can hold.
    """

    container: str = ""
    strings: dict[str, str] = field(default_factory=dict)
    parts: tuple[tuple[bytes, bytes], ...] = ()
    others: tuple[str, ...] = ()

    def fits(self, container: str) -> bool:
        """Whether a file of this kind gets the parts as they are."""
        return _kind(container) == _kind(self.container) != ""

    def set_strings(self, file: soundfile.SoundFile, container: str) -> None:
        """Gives the shared fields to a file that is about to be written."""
        if self.fits(container) or container in _NO_STRINGS:
            return
        for name, value in self.strings.items():
            if value:
                setattr(file, name, value)

    def lost_in(self, container: str) -> list[str]:
        """Sentences about what a file of this kind cannot hold."""
        if self.fits(container):
            return []
        names = [n.decode("latin-1").strip() for n, _ in self.parts if n not in (b"LIST", b"4")]
        names += self.others
        if container in _NO_STRINGS:
            names += [name for name, value in self.strings.items() if value]
        if not names:
            return []
        unique = ", ".join(dict.fromkeys(names))
        return [f"Not carried over, since a {container} file cannot hold it here: {unique}."]


@isolated
def read_metadata(path: Path, container: str, *, unfinished: bool = False) -> Metadata:
    """Of a file that libsndfile can open.

    Args:
        path: of the file.
        container: libsndfile's name of its kind.
        unfinished: its header lacks the lengths.
    """
    source: Any = FinishedHeader(path) if unfinished else path
    with soundfile.SoundFile(named(source)) as file:
        strings = file.copy_metadata()
    kind = _kind(container)
    opened: Any = FinishedHeader(path) if unfinished else path.open("rb")
    with opened as raw:
        if kind in ("riff", "aiff"):
            return Metadata(container, strings, tuple(_chunks(raw, kind == "riff")))
        if kind == "flac":
            return Metadata(container, strings, tuple(_flac_blocks(raw)))
        if kind == "mp3":
            return Metadata(container, strings, tuple(_id3(raw)))
        others = tuple(_comments(raw)) if container == "OGG" else ()
    return Metadata(container, strings, (), others)


def embed(path: Path, container: str, metadata: Metadata) -> None:
    """Puts the parts into a finished file of the kind that they come from."""
    if not metadata.parts or not metadata.fits(container):
        return
    kind = _kind(container)
    if kind == "flac":
        _rewrite(path, _flac_with(path, metadata.parts))
    elif kind == "mp3":
        _rewrite(path, _mp3_with(path, metadata.parts))
    else:
        _append_chunks(path, metadata.parts, "<" if kind == "riff" else ">")


Kind = Literal["riff", "aiff", "flac", "mp3", ""]


def _kind(container: str) -> Kind:
    if container in _RIFF:
        return "riff"
    kinds: dict[str, Kind] = {"AIFF": "aiff", "FLAC": "flac", "MP3": "mp3"}
    return kinds.get(container, "")


# RIFF and AIFF ------------------------------------------------------------------------------------


def _chunks(raw: BinaryIO, little: bool) -> Iterator[tuple[bytes, bytes]]:
    order = "<" if little else ">"
    end = raw.seek(0, os.SEEK_END)
    wide = 0  # length of the data chunk of RF64
    position = 12
    while position + 8 <= end:
        raw.seek(position)
        name, size = struct.unpack(f"{order}4sI", raw.read(8))
        if name == b"ds64":
            wide = struct.unpack("<Q", raw.read(16)[8:])[0]
        if name == b"data" and size == 0xFFFFFFFF:
            size = wide or end
        position += 8 + size + size % 2
        if name in _OWN or size > _LARGEST or raw.tell() + size > end:
            continue
        content = raw.read(size)
        if name == b"LIST" and content[:4] not in (b"INFO", b"adtl"):
            continue
        yield name, content


def _append_chunks(path: Path, parts: tuple[tuple[bytes, bytes], ...], order: str) -> None:
    with path.open("r+b") as raw:
        head = raw.read(28)
        end = raw.seek(0, os.SEEK_END)
        raw.write(bytes(end % 2))
        for name, content in parts:
            raw.write(struct.pack(f"{order}4sI", name, len(content)) + content)
            raw.write(bytes(len(content) % 2))
        size = raw.tell() - 8
        if head[:4] == b"RF64" and head[12:16] == b"ds64":
            raw.seek(20)
            raw.write(struct.pack("<Q", size))
        else:
            raw.seek(4)
            raw.write(struct.pack(f"{order}I", size))


# FLAC ---------------------------------------------------------------------------------------------


def _flac_blocks(raw: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    for kind, content in _all_flac_blocks(raw):
        if kind in _FLAC_BLOCKS:
            yield str(kind).encode(), content


def _all_flac_blocks(raw: BinaryIO) -> Iterator[tuple[int, bytes]]:
    raw.seek(_id3_length(raw) + 4)
    last = False
    while not last:
        head = raw.read(4)
        if len(head) < 4:
            return
        last, kind = bool(head[0] & 0x80), head[0] & 0x7F
        yield kind, raw.read(int.from_bytes(head[1:], "big"))


def _flac_with(path: Path, parts: tuple[tuple[bytes, bytes], ...]) -> Iterator[bytes]:
    with path.open("rb") as raw:
        own = list(_all_flac_blocks(raw))
        blocks = [(k, c) for k, c in own if k not in _FLAC_BLOCKS]
        blocks += [(int(name), content) for name, content in parts]
        yield b"fLaC"
        for number, (kind, content) in enumerate(blocks):
            flag = 0x80 if number + 1 == len(blocks) else 0
            yield bytes([flag | kind]) + len(content).to_bytes(3, "big") + content
        yield from iter(lambda: raw.read(2**20), b"")


# MP3 and OGG --------------------------------------------------------------------------------------


def _id3_length(raw: BinaryIO) -> int:
    """Bytes of an ID3v2 tag at the beginning."""
    raw.seek(0)
    head = raw.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _id3(raw: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    length = _id3_length(raw)
    if 0 < length <= _LARGEST:
        raw.seek(0)
        yield b"ID3v2", raw.read(length)
    if raw.seek(0, os.SEEK_END) > 128:
        raw.seek(-128, os.SEEK_END)
        tail = raw.read()
        if tail[:3] == b"TAG":
            yield b"ID3v1", tail


def _mp3_with(path: Path, parts: tuple[tuple[bytes, bytes], ...]) -> Iterator[bytes]:
    tags = dict(parts)
    with path.open("rb") as raw:
        yield tags.get(b"ID3v2", b"")
        raw.seek(_id3_length(raw))
        yield from iter(lambda: raw.read(2**20), b"")
        yield tags.get(b"ID3v1", b"")


def _comments(raw: BinaryIO) -> Iterator[str]:
    """Names of an OGG file's comments that are none of the shared fields."""
    raw.seek(0)
    head = raw.read(2**16)
    start = max(head.find(mark) + len(mark) for mark in (b"\x03vorbis", b"OpusTags"))
    if start < 8:
        return
    try:
        (vendor,) = struct.unpack_from("<I", head, start)
        start += 4 + vendor
        (count,) = struct.unpack_from("<I", head, start)
        start += 4
        for _ in range(count):
            (size,) = struct.unpack_from("<I", head, start)
            name = head[start + 4 : start + 4 + size].split(b"=")[0].decode("ascii", "replace")
            start += 4 + size
            if name.lower() not in _SHARED:
                yield name.upper()
    except struct.error:
        return  # comments go on behind the first page


_SHARED = {
    *("title", "copyright", "encoder", "artist", "comment", "date", "album", "license"),
    *("tracknumber", "genre", "software"),
}


def _rewrite(path: Path, pieces: Iterator[bytes]) -> None:
    new = path.with_name(f"{path.name}.tagged")
    try:
        with new.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
