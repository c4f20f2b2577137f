"""Several talkers at once are counted, whatever the blocks and the level; one talker is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sciddm import zoo
from sciddm.networks.frame_classifier import FrameClassifier
from sciddm.physics.speech.talkers import HOP, LIMIT, RATE, TalkerCount, talker_features
from sciddm.pipelines.speech.enhance import Levels
from sciddm.pipelines.speech.familiar import familiar
from sciddm.pipelines.speech.training_talkers import TalkerMixtures
from sciddm.simulation.speech.noises import at_ratio
from sciddm.simulation.speech.synthetic import pink_noise, speech_like
from tests.speech.test_training_data import corpus

__all__ = ["corpus"]


def _high(features: Tensor) -> Tensor:
    """Logits of a classifier that answers yes where the loudest bin is above 2 kHz."""
    high = features[0, 0].argmax(0) > 128
    return (20.0 * high - 10.0)[None, None, None]


def _tones(*parts: tuple[float, float, float]) -> Tensor:
    """(seconds, Hz, amplitude) one after the other: (1, n)."""
    waves = [a * np.sin(2 * np.pi * hz * np.arange(int(s * RATE)) / RATE) for s, hz, a in parts]
    return torch.from_numpy(np.concatenate(waves))[None].float()


def test_the_share_is_of_the_loud_frames_of_the_whole_recording() -> None:
    # 3 s low, 1 s high, 16 s that are 40 dB below and high: a quarter of the loud ones are high
    wave = _tones((3, 500, 1.0), (1, 3000, 1.0), (16, 3000, 0.01))
    share = TalkerCount(_high).share([wave])
    assert share == pytest.approx(0.25, abs=0.01)


def test_blocks_and_gain_change_nothing() -> None:
    wave = _tones((9, 500, 1.0), (9, 3000, 0.5), (4, 400, 0.2))
    whole = TalkerCount(_high).share([wave])
    assert whole == pytest.approx(9 / 22, abs=0.01)
    for size in (777, 100_000):
        blocks = [wave[:, k : k + size] for k in range(0, wave.shape[1], size)]
        assert TalkerCount(_high).share(blocks) == whole
    assert TalkerCount(_high).share([1e-4 * wave]) == whole


def test_the_channel_with_most_counts_and_little_sound_is_not_judged() -> None:
    low, high = _tones((4, 500, 1.0)), _tones((4, 3000, 1e-3))
    assert TalkerCount(_high).share([torch.cat([low, high])]) == 1.0
    assert TalkerCount(_high).share([torch.cat([low, 0 * low])]) == 0.0
    assert TalkerCount(_high).share([high[:, : RATE // 2]]) is None
    assert TalkerCount(_high).share([torch.zeros(2, 4 * RATE)]) is None
    assert TalkerCount(_high).share([]) is None


def test_a_feature_is_the_level_below_the_loudest_bin() -> None:
    k = 40
    wave = _tones((2, k * RATE / 1024, 1.0), (2, k * RATE / 1024, 0.1))[0]
    features, loudest = talker_features(wave)
    assert features.shape == (256, len(wave) // HOP)
    row = features[k - 2]
    assert row[30] == pytest.approx(1.5, abs=1e-3)
    assert row[200] == pytest.approx(0.5, abs=1e-3)
    assert float(loudest[30] - loudest[200]) == pytest.approx(20.0, abs=0.01)
    assert features.min() == pytest.approx(-1.5)


def test_a_frame_is_classified_by_its_neighbours_alone() -> None:
    torch.manual_seed(0)
    network = FrameClassifier(bins=32, channels=(4, 4), width=8, layers=2).eval()
    x = torch.randn(2, 1, 32, 60)
    y = x.clone()
    y[..., 30] += 1.0
    with torch.no_grad():
        a, b = (network(z, torch.zeros(2)) for z in (x, y))
    assert a.shape == (2, 1, 1, 60)
    changed = torch.nonzero((a - b).abs().amax((0, 1, 2)) > 1e-7).flatten()
    assert (changed.min(), changed.max()) == (30 - network.context, 30 + network.context)
    with pytest.raises(ValueError, match="bins"):
        FrameClassifier(bins=30, channels=(4, 4))


def test_the_bundled_model_tells_a_crowd_from_one_voice() -> None:
    """Of two synthetic voices it is not sure: benchmarks.speech_talkers has recorded ones."""
    count = TalkerCount(zoo.from_pretrained("speech-talkers").model.logits)
    for seed in range(4):
        voices = [speech_like(5.0, RATE, 100 * seed + k).astype(np.float32) for k in range(6)]
        noise = at_ratio(pink_noise(len(voices[0]), seed).astype(np.float32), voices[0], 20.0)
        waves = {"one": voices[0], "one in noise": voices[0] + noise, "six": np.sum(voices, axis=0)}
        for name, wave in waves.items():
            share = count.share([torch.from_numpy(wave)[None]])
            assert share is not None
            assert (share > LIMIT) == (name == "six"), (seed, name, share)


def test_labels_are_where_both_talk(corpus: str) -> None:
    data = TalkerMixtures(root=corpus, frames=128)
    items = [data.mixture(np.random.default_rng(seed)) for seed in range(30)]
    several = np.array([label.any() for _, label in items])
    assert 0.2 < several.mean() < 0.8
    assert all(len(wave) == 128 * HOP for wave, _ in items)
    item = data[0]
    assert item["cond"].shape == (1, 256, 128)
    assert set(item["x0"].unique().tolist()) <= {-1.0, 1.0}
    assert item["x0"].shape == (1, 1, 128)


def test_a_finding_names_music_first_and_then_talkers() -> None:
    def levels(tones: float | None, talkers: float | None) -> Levels:
        return Levels(np.zeros(1), np.ones(1), 0.0, tones, talkers)

    assert "steady tones" in familiar(levels(0.6, 0.5)).sentence
    several = familiar(levels(0.1, 0.5))
    assert several.answer == "no"
    assert "50 % of the loud sound several talk" in several.sentence
    assert "one talker at a time" in familiar(levels(0.1, 0.0)).sentence
    assert "several talkers" in familiar(levels(0.1, None)).sentence
    assert familiar(levels(None, None)).answer == "not checked"
