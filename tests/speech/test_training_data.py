"""Training pairs from a small corpus that the tests write: ratios, alignment, levels, splits."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech.training_data import (
    RATE,
    RESERVED_ROOMS,
    VALIDATION_NOISES,
    VALIDATION_ROOMS,
    SpeechMixtures,
)


def talk(seconds: float, seed: int) -> np.ndarray:
    """Bursts of filtered noise with silence between: as dynamic as speech."""
    rng = np.random.default_rng(seed)
    wave = np.convolve(rng.standard_normal(int(seconds * RATE)), np.ones(4) / 4, "same")
    gate = np.repeat(rng.random(len(wave) // 1600 + 1) < 0.6, 1600)[: len(wave)]
    return np.where(gate, 0.1 * wave, 1e-5 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp("data")
    speech = root / "speech"
    for folder in ("train", "noise_train"):
        (speech / folder).mkdir(parents=True)
    for n, name in enumerate(("picovoice_x", "ljspeech")):
        lengths = [0.9, 3.0, 1.4, 6.0]
        waves = [talk(s, 10 * n + i) for i, s in enumerate(lengths)]
        # The last utterance is as loud in its pauses as in its words.
        waves.append(0.1 * np.random.default_rng(9).standard_normal(2 * RATE).astype(np.float32))
        edges = np.cumsum([0, *(len(w) for w in waves)])
        soundfile.write(speech / "train" / f"{name}_00.flac", np.concatenate(waves), RATE)
        with (speech / "train" / f"{name}_index.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["shard", "start", "stop", "source_file", "extra"])
            for start, stop in pairwise(edges):
                writer.writerow([f"{name}_00.flac", start, stop, "x.wav", ""])
    rng = np.random.default_rng(5)
    for name in ("hum", *VALIDATION_NOISES):
        noise = 0.05 * rng.standard_normal(RATE).astype(np.float32)
        soundfile.write(speech / "noise_train" / f"{name}.flac", noise, RATE)
    rooms = {
        name: (rng.standard_normal(4000) * np.exp(-np.arange(4000) / 600)).astype(np.float32)
        for name in ("hall", *VALIDATION_ROOMS, *RESERVED_ROOMS)
    }
    np.savez(speech / "rirs_16k_f32.npz", **rooms)
    return str(root)


def mixtures(corpus: str, task: str = "denoise", **options) -> SpeechMixtures:
    return SpeechMixtures(task, corpus, **{"frames": 64, **options})


def pairs(data: SpeechMixtures, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [data.waves(np.random.default_rng(i)) for i in range(n)]


def test_items_are_spectrograms_of_the_pair(corpus):
    data = mixtures(corpus, split="validate", stft={"factor": 0.3})
    item = data[3]
    target, noisy = data.waves(np.random.default_rng([0, 3, 0]))
    for key, wave in (("x0", target), ("y", noisy)):
        assert item[key].shape == (1, 256, 64)
        expected = STFT(factor=0.3).analyse(torch.from_numpy(wave))
        assert torch.equal(item[key][0], expected)
    assert data.representation == {**STFT(factor=0.3).config, "rate": RATE}


def test_some_begin_or_end_in_digital_silence(corpus):
    """Target and input alike, for at most half of the item; the rest is as without."""
    whole, cut = pairs(mixtures(corpus), 20), pairs(mixtures(corpus, silent=0.5), 20)
    edges = []
    for (target, noisy), (target_cut, noisy_cut) in zip(whole, cut, strict=True):
        kept = noisy_cut != 0
        if kept.mean() > 0.999:
            np.testing.assert_array_equal(noisy_cut, noisy)
            np.testing.assert_array_equal(target_cut, target)
            continue
        first, last = np.flatnonzero(kept)[[0, -1]]
        assert (first == 0) != (last == len(kept) - 1)
        assert last - first >= len(kept) // 2 - 1
        inner = slice(first, last + 1)
        for before, after in ((target, target_cut), (noisy, noisy_cut)):
            np.testing.assert_array_equal(after[inner], before[inner])
            assert np.count_nonzero(after) == np.count_nonzero(before[inner])
        edges.append(first > 0)
    assert 5 <= len(edges) <= 15
    assert 0 < sum(edges) < len(edges)


def test_validation_repeats_and_training_does_not(corpus):
    fixed = mixtures(corpus, split="validate")
    assert torch.equal(fixed[1]["y"], fixed[1]["y"])
    assert not torch.equal(fixed[1]["y"], fixed[2]["y"])
    endless = mixtures(corpus)
    assert not torch.equal(endless[1]["y"], endless[1]["y"])
    torch.manual_seed(3)
    first = endless[1]["y"]
    torch.manual_seed(3)
    assert torch.equal(endless[1]["y"], first)


def test_splits_share_no_recording(corpus):
    train, validate = mixtures(corpus), mixtures(corpus, split="validate")
    assert len(train.utterances) == len(validate.utterances) == 4  # the noisy one is left out
    for kind in ("utterances", "noises", "rooms"):
        ours = {array.tobytes() for array in getattr(train, kind)}
        theirs = {array.tobytes() for array in getattr(validate, kind)}
        assert ours
        assert theirs
        assert not ours & theirs
    with np.load(Path(corpus) / "speech" / "rirs_16k_f32.npz") as file:
        reserved = {file[name].astype(float).tobytes() for name in RESERVED_ROOMS}
    assert not reserved & {room.tobytes() for room in train.rooms + validate.rooms}


def test_noise_has_the_ratio_asked_for(corpus):
    ratios = []
    for target, noisy in pairs(mixtures(corpus, snr=(3.0, 3.0)), 40):
        ratios.append(10 * np.log10(np.sum(target**2) / np.sum((noisy - target) ** 2)))
    # The microphone's response, on half of the items, moves both.
    assert np.median(ratios) == pytest.approx(3.0, abs=0.2)
    assert sum(abs(r - 3.0) < 1e-2 for r in ratios) >= 10
    low, high = zip(*(sorted((r, -r)) for r in ratios), strict=True)
    assert max(high) < 12
    assert min(low) > -12


def test_levels_are_those_of_a_recording_divided_by_its_peak(corpus):
    peaks = [np.abs(noisy).max() for _, noisy in pairs(mixtures(corpus), 60)]
    assert max(peaks) == pytest.approx(1.0, abs=1e-5)
    assert min(peaks) >= 10 ** (-15 / 20) - 1e-5
    assert 0.1 < np.mean(np.isclose(peaks, 1.0, atol=1e-4)) < 0.6


def test_dereverberation_aims_at_the_aligned_direct_sound(corpus, monkeypatch):
    data = mixtures(corpus, "dereverb", snr=(60.0, 60.0))
    monkeypatch.setattr(
        "sciddm.pipelines.speech.training_data.microphone", lambda t, n, rng: (t, n)
    )
    gains, shares = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        dry = data._speech(np.random.default_rng(seed))
        target, noisy = data.waves(rng)
        # Aligned with the dry speech: the cross-correlation peaks within the direct sound, which
        # begins at most 1 ms before 0 and lasts 2.5 ms.
        spectrum = np.fft.rfft(target, 2 * len(dry)) * np.fft.rfft(dry, 2 * len(dry)).conj()
        lag = int(np.argmax(np.abs(np.fft.irfft(spectrum))))
        assert -16 <= (lag - 2 * len(dry) if lag > len(dry) else lag) <= 40
        # The noisy signal holds the target once, and more.
        shares.append(np.sum(noisy * target) / np.sum(target**2))
        gains.append(np.sum((noisy - target) ** 2) / np.sum(target**2))
    assert np.median(shares) == pytest.approx(1.0, abs=0.3)
    assert np.median(gains) > 0.1


def test_noise_removal_leaves_the_room(corpus):
    data = mixtures(corpus, snr=(100.0, 100.0))
    for target, noisy in pairs(data, 12):
        assert np.allclose(target, noisy, atol=1e-3)


def test_every_kind_of_noise_is_finite_and_fills_the_crop(corpus):
    data = mixtures(corpus)
    for make in (data._recorded, data._coloured, data._machine, data._babble):
        for seed in range(6):
            noise = make(np.random.default_rng(seed))
            assert noise.shape == (data.samples,)
            assert np.isfinite(noise).all()
            assert noise.std() > 0


def test_missing_and_wrong_data_are_named(tmp_path, corpus):
    with pytest.raises(InputError, match="unknown task"):
        SpeechMixtures("remix", corpus)
    with pytest.raises(InputError, match="train: training data cannot be read"):
        SpeechMixtures("denoise", str(tmp_path))
    folder = tmp_path / "speech" / "train"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a_00.flac", np.zeros(800), 8000)
    (folder / "a_index.csv").write_text("shard,start,stop\na_00.flac,0,800\n")
    with pytest.raises(InputError, match=r"a_00\.flac: .*mono recordings at 16000 Hz"):
        SpeechMixtures("denoise", str(tmp_path))


def test_behind_linear_prediction_target_and_input_stay_aligned(corpus):
    options = {"taps": 5, "delay": 2}
    data = SpeechMixtures(
        "dereverb", corpus, "validate", frames=64, snr=(40.0, 40.0), linear_prediction=options
    )
    assert data.representation["linear_prediction"]["taps"] == 5
    plain = SpeechMixtures("dereverb", corpus, "validate", frames=64)
    assert "linear_prediction" not in plain.representation
    assert data[0]["y"].shape == plain[0]["y"].shape
    lags = []
    for item in (data[i] for i in range(6)):
        x, y = (data.stft.synthesise(item[k][0], data.crop).numpy() for k in ("x0", "y"))
        matched = np.fft.irfft(np.fft.rfft(y, 2 * len(y)) * np.fft.rfft(x, 2 * len(x)).conj())
        lags.append(int(np.abs(matched).argmax()))
    assert lags.count(0) >= 5  # where it is late, a reflection is louder than the direct sound
    assert max(min(lag, 2 * data.crop - lag) for lag in lags) < 800


def test_more_folders_share_equally_in_training_and_not_in_validation(corpus, tmp_path):
    """Ten recordings of a further folder are heard as often as the one of the first."""
    (tmp_path / "noise_train").mkdir()
    for n in range(10):
        tone = 0.05 * np.sin(2 * np.pi * 300 * (n + 1) * np.arange(RATE) / RATE)
        soundfile.write(tmp_path / "noise_train" / f"tone{n}.flac", tone, RATE)
    plain, more = mixtures(corpus), mixtures(corpus, more=[str(tmp_path)])
    assert len(more.noises) == len(plain.noises) + 10
    assert more.noise_share[: len(plain.noises)].sum() == pytest.approx(0.5)
    assert more.noise_share[-10:] == pytest.approx(np.full(10, 0.05))
    # It has no speech: all of that comes from the first folder, long utterances more often.
    assert len(more.utterances) == len(plain.utterances)
    lengths = np.array([len(u) for u in more.utterances])
    assert more.share == pytest.approx(lengths / lengths.sum())
    held, held_more = (
        mixtures(corpus, split="validate", **extra) for extra in ({}, {"more": [str(tmp_path)]})
    )
    for one, other in zip(pairs(held, 5), pairs(held_more, 5), strict=True):
        assert np.array_equal(one[1], other[1])


def test_a_further_folder_without_recordings_is_named(corpus, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        mixtures(corpus, more=[str(tmp_path)])


def test_a_further_folder_whose_speech_is_all_noisy_adds_none(corpus, tmp_path):
    (tmp_path / "train").mkdir()
    hiss = 0.1 * np.random.default_rng(3).standard_normal(2 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "train" / "hiss_00.flac", hiss, RATE)
    (tmp_path / "train" / "hiss_index.csv").write_text(
        f"shard,start,stop\nhiss_00.flac,0,{len(hiss)}\n"
    )
    plain, more = mixtures(corpus), mixtures(corpus, more=[str(tmp_path)])
    assert len(more.utterances) == len(plain.utterances)
    assert more.share == pytest.approx(plain.share)
