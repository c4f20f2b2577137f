"""Live enhancement: frames of the whole, blocks of any size, delay, pipes, files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr
from speech_models import scaling

from sciddm.errors import InputError
from sciddm.metrics.speech import si_sdr
from sciddm.networks.causal_dual_path import CausalDualPath
from sciddm.physics.speech.stft import STFT
from sciddm.physics.speech.streamed_stft import StreamedAnalysis, StreamedSynthesis
from sciddm.pipelines.speech.live import LiveEnhancement, Network
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.stream import CLASSICAL, Sound, opener, read_header, run_stream
from sciddm.priors.predictor import Predictor
from sciddm.simulation.speech.synthetic import mix, speech_like

SMALL = STFT(n_fft=62, hop=16)


def _model(gain: float | None = None) -> Predictor:
    """A small causal network; of a constant mask if a gain is given."""
    torch.manual_seed(0)
    network = CausalDualPath(bins=32, width=4, channels=8, blocks=1)
    if gain is None:
        torch.nn.init.normal_(network.last.weight, std=0.2)
    else:
        with torch.no_grad():  # channels are those of mask and rest, for each of a patch's places
            network.last.bias[:4] = float(np.arctanh(gain / 2))
    return Predictor(network, scale=0.1).eval().requires_grad_(False)


def _live(rate: int, channels: int = 1, gain: float | None = None) -> LiveEnhancement:
    return LiveEnhancement(Network(_model(gain), channels), SMALL, 16_000, rate, channels)


def _opened(gain: float | None = None) -> Callable[[int, int], LiveEnhancement]:
    return SpeechEnhancement(_model(gain), SMALL, 16_000).live


def _wave(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, samples))).astype(np.float32)


def _through(live: LiveEnhancement, wave: np.ndarray, size: int) -> np.ndarray:
    parts = [live.push(wave[:, k : k + size]) for k in range(0, wave.shape[1], size)]
    return np.concatenate([*parts, live.finish()], axis=1)


@pytest.mark.parametrize("samples", [1, 31, 32, 200, 1111])
@pytest.mark.parametrize("skip", [0, 16])
def test_frames_that_come_in_are_those_of_the_whole_and_give_it_back(
    samples: int, skip: int
) -> None:
    wave = torch.from_numpy(_wave(samples, 2))
    analysis, synthesis = StreamedAnalysis(SMALL), StreamedSynthesis(SMALL, skip)
    frames = [analysis.push(b) for b in torch.split(wave, 7, -1)] + [analysis.finish()]
    Z = torch.cat(frames, -1)
    torch.testing.assert_close(Z, SMALL.analyse(wave), rtol=0, atol=1e-6)
    out = [synthesis.push(z) for z in torch.split(Z, 3, -1)] + [synthesis.finish()]
    torch.testing.assert_close(torch.cat(out, -1)[:, :samples], wave, rtol=0, atol=1e-5)


def test_skipped_samples_are_not_used_and_the_next_ones_come_earlier() -> None:
    Z = SMALL.analyse(torch.from_numpy(_wave(400)))
    early, late = (StreamedSynthesis(SMALL, skip).push(Z).shape[-1] for skip in (16, 0))
    assert early - late == 16
    with pytest.raises(ValueError, match="skip"):
        StreamedSynthesis(SMALL, 31)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_blocks_do_not_matter_and_lengths_are_kept(rate: int) -> None:
    wave = _wave(rate // 4, 2) + np.float32(0.2)
    whole = _through(_live(rate, 2), wave, 10**6)
    assert whole.shape == wave.shape
    assert np.abs(whole - wave).max() > 0.01
    for size in (rate // 100, 333):
        pieces = _through(_live(rate, 2), wave, size)
        np.testing.assert_allclose(pieces, whole, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000, 96_000])
def test_a_mask_of_one_changes_nothing(rate: int) -> None:
    # Away from the borders of the bands, within both filters' slopes, where some is lost.
    t = np.arange(rate // 4) / rate
    sines = [0.1 * np.sin(2 * np.pi * f * t) for f in (700, 2500, 6500, 12_000) if f < 0.45 * rate]
    wave = np.asarray(sum(sines)[None], np.float32)  # type: ignore[index]
    out = _through(_live(rate, gain=1.0), wave, 777)
    inner = slice(rate // 50, -rate // 50)
    np.testing.assert_allclose(out[:, inner], wave[:, inner], atol=2e-3)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_delay_is_what_it_is_said_to_be(rate: int) -> None:
    """Nothing that comes later than the delay changes a sample."""
    live, step = _live(rate), rate // 8000
    lags = []
    for block in np.split(_wave(800 * step), 800, axis=1):
        live.push(block)
        lags.append(live.frames_in - live.frames_out)
    settled = lags[400:]
    assert max(settled) <= round(live.delay_s * rate) + step
    assert max(settled) >= 0.9 * live.delay_s * rate - 2


def test_the_published_transform_has_at_most_forty_milliseconds() -> None:
    torch.manual_seed(0)
    model = Predictor(CausalDualPath(width=4, channels=8, blocks=1)).eval()
    for rate in (16_000, 44_100, 48_000):
        network = Network(model, 1)
        assert LiveEnhancement(network, STFT(), 16_000, rate, 1).delay_s < 0.040


def test_offset_silence_and_clips_of_a_few_samples() -> None:
    for samples in (1, 5, 300):
        for value in (0.0, 0.3):
            wave = np.full((1, samples), value, np.float32)
            out = _through(_live(48_000), wave, 64)
            np.testing.assert_allclose(out, wave, atol=1e-6)
    assert _live(48_000).finish().shape == (1, 0)


def test_files_get_what_pipes_get() -> None:
    pipeline = SpeechEnhancement(_model(), SMALL, 16_000)
    wave = _wave(9000, 2)
    data = xr.DataArray(wave, dims=("channel", "time"), attrs={"rate": 22_050})
    result = pipeline(data, quality="balanced")
    piped = _through(pipeline.live(22_050, 2), wave, 100)
    np.testing.assert_allclose(result["enhanced"], piped, atol=1e-6)
    assert result.attrs["views"] == 1
    limited = pipeline(data, attenuation_limit=0.0)
    np.testing.assert_allclose(limited["enhanced"], wave, atol=1e-6)


def test_models_that_see_the_future_are_refused() -> None:
    with pytest.raises(InputError, match="sees the future"):
        SpeechEnhancement(scaling(1.0)).live(16_000)


def test_log_mmse_takes_steady_noise_away_and_keeps_speech() -> None:
    rate = 16_000
    clean = speech_like(5.0, rate, 0)
    clean[: 2 * rate] = 0
    noisy = mix(clean, np.random.default_rng(0).standard_normal(5 * rate), 10.0)
    live = opener(CLASSICAL)(rate, 1)
    out = _through(live, np.asarray(noisy, np.float32)[None], 160)[0]
    pause = slice(rate, 2 * rate - 1000)
    assert np.mean(noisy[pause] ** 2) / np.mean(out[pause] ** 2) > 10**1.5
    spoken = slice(2 * rate, None)
    assert si_sdr(out[spoken], clean[spoken]) > si_sdr(noisy[spoken], clean[spoken]) + 3
    assert live.delay_s < 0.04
    # A limit is a limit; silence and an offset stay.
    flat = np.full((1, 3000), 0.2, np.float32)
    np.testing.assert_allclose(_through(opener(CLASSICAL)(rate, 1), flat, 99), flat, atol=1e-6)
    with pytest.raises(InputError, match="sees the future"):
        opener("speech-denoise")


# Pipes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["s16", "s24", "s32", "f32"])
@pytest.mark.parametrize("wav", [False, True])
def test_what_goes_in_comes_out_in_the_same_coding(coding: str, wav: bool) -> None:
    sound = Sound(16_000, 2, coding, wav)  # type: ignore[arg-type]
    content = sound.encode(_wave(4000, 2))[0]
    out = io.BytesIO()
    source = io.BytesIO(sound.header() + content)
    totals = run_stream(source, out, _opened(1.0), None if wav else sound)
    out.seek(0)
    again = read_header(out) if wav else sound
    assert (again.rate, again.channels, again.coding) == (16_000, 2, coding)
    got = again.decode(out.read())
    assert got.shape == (2, 4000)
    np.testing.assert_allclose(got[:, 300:-300], _wave(4000, 2)[:, 300:-300], atol=2e-3)
    assert totals.seconds == 0.25
    assert "real-time factor" in totals.text


def test_headers_with_other_chunks_lengths_and_half_frames() -> None:
    sound = Sound(16_000, 1, "s16", True)
    head = bytearray(sound.header())
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    data = _wave(500)
    content = sound.encode(data)[0]
    whole = bytes(head[:36]) + extra + b"data" + struct.pack("<I", len(content)) + content
    out = io.BytesIO()
    # What follows the sound is no sound, and a half sample at the end is none.
    run_stream(io.BytesIO(whole + b"junk"), out, _opened(), None)
    assert len(out.getvalue()) == len(sound.header()) + len(content)
    out = io.BytesIO()
    raw = Sound(16_000, 1, "s16")
    run_stream(io.BytesIO(content + b"x"), out, _opened(), raw)
    assert len(out.getvalue()) == len(content)


def test_what_is_clipped_or_no_number_is_counted() -> None:
    wave = _wave(2000)
    wave[0, 100], wave[0, 200] = np.nan, np.inf
    sound = Sound(16_000, 1, "f32")
    out = io.BytesIO()
    totals = run_stream(io.BytesIO(sound.encode(wave)[0]), out, _opened(1.0), sound)
    assert totals.not_numbers == 2
    assert np.isfinite(sound.decode(out.getvalue())).all()
    assert Sound(8000, 1, "s16").encode(np.float32([[1.5, -2.0, 0.5]]))[1] == 2


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3" + bytes(60)])
def test_what_is_no_wav_file_is_named(content: bytes) -> None:
    with pytest.raises(InputError, match="standard input"):
        read_header(io.BytesIO(content))


def test_samples_that_cannot_be_read_are_named() -> None:
    head = bytearray(Sound(16_000, 1, "s16", True).header())
    head[34:36] = struct.pack("<H", 8)
    with pytest.raises(InputError, match="8 bits"):
        read_header(io.BytesIO(bytes(head)))
    with pytest.raises(InputError, match="channels"):
        Sound(0, 1, "s16")
