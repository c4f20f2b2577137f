"""Audio files: what is read is written back, sample by sample, at every rate and subtype."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciddm.data_adapters.audio import (
    ArrayRecording,
    AudioFile,
    AudioSink,
    encoding_for,
    open_audio,
    resample,
    resample_blocks,
    save_audio,
)
from sciddm.errors import InputError, OutputError

LINEAR = [
    (".wav", "PCM_U8", 2**-7),
    (".wav", "PCM_16", 2**-15),
    (".wav", "PCM_24", 2**-23),
    (".wav", "PCM_32", 2**-24),
    (".wav", "FLOAT", 0),
    (".wav", "DOUBLE", 0),
    (".flac", "PCM_16", 2**-15),
    (".flac", "PCM_24", 2**-23),
    (".aiff", "PCM_16", 2**-15),
]


def sound(channels: int = 2, frames: int = 1000, rate: int = 16000, **attrs) -> xr.DataArray:
    rng = np.random.default_rng(frames)
    values = rng.uniform(-0.9, 0.9, (channels, frames)).astype(np.float32)
    return xr.DataArray(values, dims=("channel", "time"), attrs={"rate": rate, **attrs})


@pytest.mark.parametrize(("suffix", "subtype", "step"), LINEAR)
def test_samples_come_back(tmp_path: Path, suffix: str, subtype: str, step: float) -> None:
    data = sound(subtype=subtype)
    assert save_audio(data, tmp_path / f"a{suffix}") == 1.0
    read = open_audio(tmp_path / f"a{suffix}")
    assert (read.attrs["rate"], read.attrs["subtype"]) == (16000, subtype)
    assert read.dims == ("channel", "time")
    assert np.abs(read.values - data.values).max() <= step / 2
    # A second time nothing is left to round. Samples, not bytes: the header of floating-point WAV
    # (its PEAK chunk) and of AIFF may hold the second in which the file was written.
    save_audio(read, tmp_path / f"b{suffix}")
    first, again = (soundfile.SoundFile(tmp_path / f"{name}{suffix}") for name in "ab")
    assert (again.format, again.subtype) == (first.format, first.subtype)
    np.testing.assert_array_equal(again.read(dtype="float64"), first.read(dtype="float64"))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_integers_of_other_programs_are_not_touched(tmp_path: Path, subtype: str) -> None:
    """Extremes included: libsndfile's own conversion from floating point would move them."""
    top = 2**15 if subtype == "PCM_16" else 2**23
    values = np.array([-top, -top + 1, -1, 0, 1, 2, top // 3, top - 2, top - 1], np.int32)
    soundfile.write(tmp_path / "a.wav", values * (2**31 // top), 8000, subtype=subtype)
    read = open_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(read.values[0], values / np.float32(top))
    save_audio(read, tmp_path / "b.wav")
    back, _ = soundfile.read(tmp_path / "b.wav", dtype="int32")
    np.testing.assert_array_equal(back // (2**31 // top), values)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus"])
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_codecs_keep_length_and_place(tmp_path: Path, suffix: str, rate: int) -> None:
    t = np.arange(rate) / rate
    wave = (0.4 * np.sin(2 * np.pi * 440 * t) * np.hanning(rate))[None].astype(np.float32)
    save_audio(
        xr.DataArray(wave, dims=("channel", "time"), attrs={"rate": rate}), tmp_path / f"a{suffix}"
    )
    read = open_audio(tmp_path / f"a{suffix}")
    assert read.shape == wave.shape
    assert read.attrs["rate"] == rate
    assert np.abs(read.values - wave).max() < 0.05  # one period is 36 samples or more


@pytest.mark.parametrize(
    ("suffix", "given", "container", "written"),
    [
        (".wav", "PCM_24", "WAVEX", "PCM_24"),
        (".wav", "VORBIS", "OGG", "PCM_16"),
        (".wav", "MPEG_LAYER_III", "MP3", "PCM_16"),
        (".wav", "ULAW", "WAV", "ULAW"),
        (".flac", "FLOAT", "WAV", "PCM_24"),
        (".flac", "PCM_16", "WAV", "PCM_16"),
        (".ogg", "PCM_16", "WAV", "VORBIS"),
        (".opus", "OPUS", "OGG", "OPUS"),
        (".mp3", "PCM_24", "WAV", "MPEG_LAYER_III"),
    ],
)
def test_the_subtype_is_kept_where_there_is_a_place_for_it(
    suffix: str, given: str, container: str, written: str
) -> None:
    encoding = encoding_for(Path(f"a{suffix}"), 16000, 1, container=container, subtype=given)
    assert encoding.subtype == written
    if container == "WAVEX":
        assert encoding.container == "WAVEX"


def test_what_a_wav_header_cannot_count_becomes_rf64() -> None:
    hour = 48000 * 3600
    assert encoding_for(Path("a.wav"), 48000, 2, frames=hour).container == "WAV"
    assert encoding_for(Path("a.wav"), 48000, 16, frames=hour).container == "RF64"


def test_a_format_that_cannot_hold_it_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot hold 2 channels at 96000 Hz"):
        encoding_for(Path("a.mp3"), 96000, 2)
    with pytest.raises(OutputError, match="rename"):
        encoding_for(Path("a.m4a"), 16000, 1)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.6), (-2.0, 0.5), (-1.0, 1.0)])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_integers_are_scaled_rather_than_clipped(
    tmp_path: Path, low: float, high: float, subtype: str
) -> None:
    wave = np.linspace(low, high, 1001, dtype=np.float32)[None]
    data = xr.DataArray(wave, dims=("channel", "time"), attrs={"rate": 8000, "subtype": subtype})
    gain = save_audio(data, tmp_path / "a.wav")
    wanted = 1.0 if subtype == "FLOAT" else min(1.0, (1 - 2**-15) / high, 1.0 / -low)
    assert gain == pytest.approx(wanted)
    read = open_audio(tmp_path / "a.wav").values
    np.testing.assert_allclose(read, gain * wave, atol=2**-16)


def test_a_sink_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"

    def fail() -> None:
        with AudioSink(path, encoding_for(path, 8000, 1)) as sink:
            sink.write(np.zeros((1, 100), np.float32))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("mine")
    with pytest.raises(OutputError, match="overwrite"):
        save_audio(sound(), path)
    assert path.read_text() == "mine"
    save_audio(sound(), path, overwrite=True)
    assert open_audio(path).shape == (2, 1000)


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_a_file_that_ends_early(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    save_audio(sound(frames=40000), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"a\{suffix}.*(cut off|damaged)"):
        open_audio(path)


def test_a_wav_that_was_cut_off_is_read_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    save_audio(sound(1, 1000), path)
    path.write_bytes(path.read_bytes()[: 44 + 500])
    read = open_audio(path)
    assert read.sizes["time"] == 250
    assert read.attrs["warnings"] == [
        "The file is cut off: 75.0 % of what its header announces is missing."
    ]


def test_a_wav_from_a_pipe_has_no_length_and_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    save_audio(sound(1, 1000), path)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    file = AudioFile(path)
    assert (file.frames, file.warnings) == (1000, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "damaged"), (b"this is text" * 50, "damaged"), (b"RIFF\0\0\0\0WAVE", "damaged|empty")],
)
def test_what_is_no_audio(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=f"a.wav.*({said})"):
        AudioFile(tmp_path / "a.wav")


def test_no_samples_no_file_and_no_numbers(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 8000)
    with pytest.raises(InputError, match="no samples"):
        AudioFile(tmp_path / "empty.wav")
    with pytest.raises(InputError, match="no such file"):
        AudioFile(tmp_path / "none.wav")
    wave = np.zeros(5000, np.float32)
    wave[4321] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="1 samples that are NaN"):
        open_audio(tmp_path / "nan.wav")


@settings(deadline=None, max_examples=20)
@given(frames=st.integers(1, 500), size=st.integers(1, 600), channels=st.integers(1, 3))
def test_blocks_are_the_whole(tmp_path_factory, frames: int, size: int, channels: int) -> None:
    path = tmp_path_factory.mktemp("blocks") / "a.flac"
    data = sound(channels, frames)
    save_audio(data, path)
    whole = open_audio(path).values
    for recording in (AudioFile(path), ArrayRecording(open_audio(path))):
        blocks = list(recording.blocks(size))
        assert all(b.shape[1] == size for b in blocks[:-1])
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (xr.DataArray(np.zeros((1, 5)), dims=("channel", "time")), "rate"),
        (xr.DataArray(np.zeros((1, 5)), dims=("y", "x"), attrs={"rate": 8000}), "dimensions"),
        (xr.DataArray(np.zeros(0), dims="time", attrs={"rate": 8000}), "no samples"),
        (xr.DataArray(np.zeros(5, int), dims="time", attrs={"rate": 8000}), "floating point"),
        (xr.Dataset({"a": ("time", np.zeros(5)), "b": ("time", np.zeros(5))}), "name the"),
    ],
)
def test_arrays_that_are_no_recordings(data, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ArrayRecording(data)


@settings(deadline=None, max_examples=40)
@given(
    rates=st.sampled_from(
        [(44100, 16000), (16000, 44100), (8000, 16000), (48000, 16000), (22050, 16000)]
    ),
    length=st.integers(1, 9000),
    size=st.integers(1, 4000),
    piece=st.integers(1, 3000),
)
def test_resampling_in_blocks_is_resampling(rates, length: int, size: int, piece: int) -> None:
    generator = torch.Generator().manual_seed(length)
    wave = torch.randn(2, length, generator=generator)
    whole = resample(wave, *rates)
    assert whole.shape == (2, math.ceil(length * rates[1] / rates[0]))
    pieces = torch.cat(list(resample_blocks(wave.split(size, dim=-1), *rates, piece)), dim=-1)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=5e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_has_no_delay_and_no_gain(rate: int) -> None:
    """A band-limited pulse at 0.25 s is the same function of time at the other rate."""

    def pulse(at: int) -> torch.Tensor:
        t = torch.arange(at // 2, dtype=torch.float64) / at - 0.25
        return (torch.cos(2 * math.pi * 1500 * t) * torch.exp(-((t / 0.01) ** 2))).float()

    there = resample(pulse(rate), rate, 16000)
    torch.testing.assert_close(there, pulse(16000), rtol=0, atol=5e-6)
    back = resample(there, 16000, rate)[: rate // 2]
    torch.testing.assert_close(back, pulse(rate), rtol=0, atol=1e-5)
