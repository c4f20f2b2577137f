"""Production files: what they say beside their samples, unfinished headers, kinds of containers."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sciddm.data_adapters.audio import AudioFile, AudioSink, encoding_for
from sciddm.errors import InputError

RATE = 16_000


def _sound(samples: int = 4000) -> np.ndarray:
    t = np.arange(samples) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)


def _chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", name, len(content)) + content + bytes(len(content) % 2)


def _wav(path: Path, *chunks: bytes, before: bool = False) -> Path:
    """A WAV file with more chunks than the writer's."""
    buffer = io.BytesIO()
    soundfile.write(buffer, _sound(), RATE, format="WAV", subtype="PCM_24")
    content = buffer.getvalue()
    head, rest = content[:12], content[12:]
    parts = [*chunks, rest] if before else [rest, *chunks]
    body = b"".join(parts)
    path.write_bytes(head[:4] + struct.pack("<I", 4 + len(body)) + head[8:] + body)
    return path


def _copied(source: Path, target: Path) -> AudioFile:
    """The same samples in another file, by way of the adapters."""
    recording = AudioFile(source)
    encoding = encoding_for(
        target,
        recording.rate,
        recording.channels,
        container=recording.container,
        subtype=recording.subtype,
    )
    with AudioSink(target, encoding, recording.metadata) as sink:
        for block in recording.blocks(1000):
            sink.write(block)
    copy = AudioFile(target)
    np.testing.assert_allclose(
        np.concatenate(list(copy.blocks(999)), 1)[:, : recording.frames],
        np.concatenate(list(recording.blocks(1000)), 1),
        atol=0.1 if target.suffix in (".mp3", ".ogg") else 1e-4,
    )
    return copy


@pytest.mark.parametrize("before", [False, True])
def test_chunks_of_wav_are_carried_as_they_are(tmp_path: Path, before: bool) -> None:
    bext = _chunk(b"bext", b"Scene 12".ljust(256, b"\0") + bytes(346))
    cue = _chunk(b"cue ", struct.pack("<IIIIIII", 1, 1, 2000, 0x61746164, 0, 0, 2000))
    info = _chunk(b"LIST", b"INFO" + _chunk(b"INAM", b"Take one\0"))
    labels = _chunk(b"LIST", b"adtl" + _chunk(b"labl", struct.pack("<I", 1) + b"here\0"))
    odd = _chunk(b"iXML", b"<xml/>\n")
    source = _wav(tmp_path / "a.wav", bext, cue, info, labels, odd, before=before)
    target = _copied(source, tmp_path / "b.wav").path
    content = target.read_bytes()
    for chunk in (bext, cue, info, labels, odd):
        assert chunk in content
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    with soundfile.SoundFile(target) as file:
        assert file.title == "Take one"
    # What describes the samples is the writer's own, and once.
    assert content.count(b"fmt ") == 1


def test_comments_and_pictures_of_flac_are_carried_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "a.flac"
    soundfile.write(source, _sound(), RATE, subtype="PCM_16")
    content = source.read_bytes()
    comment = b"\x05\0\0\0maker\x02\0\0\0" + b"".join(
        struct.pack("<I", len(c)) + c for c in (b"TITLE=T\xc3\xaft", b"MYOWN=field")
    )
    picture = bytes(28) + struct.pack(">I", 7) + b"picture"
    blocks = b""
    for kind, block in ((4, comment), (6, picture)):
        blocks += bytes([kind]) + len(block).to_bytes(3, "big") + block
    stream = 4 + 4 + 34  # mark, head and content of STREAMINFO
    head = content[:4] + bytes([content[4] & 0x7F]) + content[5:stream]
    position, last = stream, content[4] & 0x80
    while not last:  # the writer's own blocks
        last, size = content[position] & 0x80, int.from_bytes(content[position + 1 : position + 4])
        position += 4 + size
    blocks = blocks[: -len(picture) - 4] + bytes([0x80 | 6]) + blocks[-len(picture) - 3 :]
    source.write_bytes(head + blocks + content[position:])
    with soundfile.SoundFile(source) as file:
        assert file.title == "Tït"
    target = _copied(source, tmp_path / "b.flac").path
    assert comment in target.read_bytes()
    assert picture in target.read_bytes()


def test_id3_of_mp3_is_carried_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "a.mp3"
    soundfile.write(source, _sound(), RATE, format="MP3")
    frame = b"TIT2" + struct.pack(">IH", 6, 0) + b"\0Title" + b"TXXX" + struct.pack(">IH", 8, 0)
    frame += b"\0own\0abc"
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    old = b"TAG" + b"Title".ljust(125, b"\0")
    source.write_bytes(tag + source.read_bytes() + old)
    copy = _copied(source, tmp_path / "b.mp3")
    content = copy.path.read_bytes()
    assert content.startswith(tag)
    assert content.endswith(old)
    assert content.count(b"ID3") == 1


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".aiff", ".caf", ".mp3"])
def test_shared_fields_go_from_kind_to_kind_and_others_are_named(
    tmp_path: Path, suffix: str
) -> None:
    info = _chunk(b"LIST", b"INFO" + _chunk(b"INAM", b"Take one\0"))
    source = _wav(tmp_path / "a.wav", info, _chunk(b"bext", bytes(602)))
    copy = _copied(source, tmp_path / f"b{suffix}")
    with soundfile.SoundFile(copy.path) as file:
        assert file.title == "Take one"
    (lost,) = AudioFile(source).metadata.lost_in(copy.container)
    assert "bext" in lost
    assert AudioFile(source).metadata.lost_in("WAV") == []
    assert "title" in AudioFile(source).metadata.lost_in("AU")[0]


def test_comments_that_ogg_cannot_get_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with soundfile.SoundFile(path, "w", RATE, 1, format="OGG", subtype="VORBIS") as file:
        file.title = "T"
        file.write(_sound())
    content = path.read_bytes().replace(b"TITLE=", b"TITLX=")
    assert list(AudioFile(path).metadata.lost_in("OGG")) == []
    path.write_bytes(content)  # its checksum is wrong now, and the comment still there
    from sciddm.data_adapters.audio.metadata import _comments

    with path.open("rb") as raw:
        assert list(_comments(raw)) == ["TITLX"]


def test_blocks_of_mp3_are_those_of_the_whole(tmp_path: Path) -> None:
    """A frame of MP3 needs bits of those before it: whoever seeks between blocks has gaps."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, _sound(20_000), RATE, format="MP3")
    whole, _ = soundfile.read(path, dtype="float32")
    blocks = np.concatenate(list(AudioFile(path).blocks(999)), 1)[0]
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


@pytest.mark.parametrize("suffix", [".w64", ".au", ".snd", ".caf", ".aifc"])
def test_other_containers_are_read_and_written(tmp_path: Path, suffix: str) -> None:
    source = _wav(tmp_path / "a.wav")
    copy = _copied(source, tmp_path / f"b{suffix}")
    assert copy.frames == 4000
    assert copy.subtype == "PCM_24"


@pytest.mark.parametrize("extra", [b"", _chunk(b"LIST", b"INFO")])
def test_a_header_that_announces_nothing_is_finished(tmp_path: Path, extra: bytes) -> None:
    source = _wav(tmp_path / "a.wav", extra, before=True)
    content = bytearray(source.read_bytes())
    at = content.index(b"data")
    content[4:8] = content[at + 4 : at + 8] = bytes(4)
    source.write_bytes(content)
    recording = AudioFile(source)
    assert recording.frames == 4000
    np.testing.assert_allclose(
        np.concatenate(list(recording.blocks(333)), 1)[0], _sound(), atol=1e-6
    )
    assert "announces no samples" in recording.warnings[0]
    source.write_bytes(content[: at + 8])
    with pytest.raises(InputError, match="holds no samples"):
        AudioFile(source)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [(k, k.lower()) for k in ("WAV", "AIFF", "W64", "AU", "CAF")]
    + [("WAVEX", "wav"), ("RF64", "wav")],
)
def test_files_that_are_cut_off_are_told(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, _sound(), RATE, format=kind, subtype="PCM_16")
    assert AudioFile(path).warnings == []
    path.write_bytes(path.read_bytes()[:-4001])  # half a sample, too
    recording = AudioFile(path)
    (warning,) = recording.warnings
    assert "cut off" in warning
    assert float(warning.split(":")[1].split("%")[0]) == pytest.approx(50, abs=1)
    samples = np.concatenate(list(recording.blocks(333)), 1)[0]
    assert len(samples) == 1999
    np.testing.assert_allclose(samples, _sound()[:1999], atol=2**-15)


def _set(content: bytearray, mark: bytes, offset: int, value: bytes) -> None:
    at = content.index(mark) + offset
    content[at : at + len(value)] = value


#: Where a header says how long the sound is, and what a recorder leaves there that was cut off.
UNFINISHED = {
    "WAV": [(b"RIFF", 4, bytes(4)), (b"data", 4, bytes(4))],
    "WAVEX": [(b"RIFF", 4, bytes(4)), (b"data", 4, bytes(4))],
    "RF64": [(b"ds64", 8, bytes(24))],
    "AIFF": [(b"SSND", 4, bytes(4)), (b"COMM", 10, bytes(4))],
    "AU": [(b".snd", 8, bytes(4))],
    "CAF": [(b"data", 4, bytes(8))],
}


@pytest.mark.parametrize("kind", list(UNFINISHED))
def test_headers_without_lengths_are_read_on_in_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, _sound(), RATE, format=kind, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    for change in UNFINISHED[kind]:
        _set(content, *change)
    path.write_bytes(content)
    recording = AudioFile(path)
    assert (recording.frames, recording.container) == (4000, kind)
    samples = np.concatenate(list(recording.blocks(333)), 1)[0]
    np.testing.assert_allclose(samples, _sound(), atol=2**-15)
    (warning,) = recording.warnings
    assert "announces no samples" in warning


def test_an_open_end_is_no_fault(tmp_path: Path) -> None:
    """CAF and AU have a number for sound that goes on to the end of the file."""
    for kind, change in (("CAF", (b"data", 4, b"\xff" * 8)), ("AU", (b".snd", 8, b"\xff" * 4))):
        path = tmp_path / f"a.{kind.lower()}"
        soundfile.write(path, _sound(), RATE, format=kind, subtype="PCM_16")
        content = bytearray(path.read_bytes())
        _set(content, *change)
        path.write_bytes(content)
        recording = AudioFile(path)
        assert (recording.frames, recording.warnings) == (4000, [])


def test_chunks_before_unfinished_sound_are_carried(tmp_path: Path) -> None:
    bext = _chunk(b"bext", b"Scene 12".ljust(256, b"\0") + bytes(346))
    source = _wav(tmp_path / "a.wav", bext, before=True)
    content = bytearray(source.read_bytes())
    for change in UNFINISHED["WAV"]:
        _set(content, *change)
    source.write_bytes(content)
    assert bext in _copied(source, tmp_path / "b.wav").path.read_bytes()


def test_other_kinds_are_decoded_by_ffmpeg(tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    import subprocess

    source = _wav(tmp_path / "a.wav")
    target = tmp_path / "b.m4a"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source, "-c:a", "aac", target],
        check=True,
    )
    recording = AudioFile(target)
    assert (recording.rate, recording.channels, recording.container) == (RATE, 1, "M4A")
    blocks = [np.concatenate(list(recording.blocks(1000)), 1)[0] for _ in range(2)]
    np.testing.assert_array_equal(*blocks)  # a recording can be read again
    assert np.abs(np.fft.rfft(blocks[0][:4000])).argmax() == 110
    target.write_bytes(b"no film")
    with pytest.raises(InputError, match=r"b\.m4a: damaged, or without sound"):
        AudioFile(target)


def test_other_kinds_without_ffmpeg_say_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"sciddm\[video\]"):
        AudioFile(path)
