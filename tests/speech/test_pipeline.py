"""The way of a recording through the pipeline, with models whose answer is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr
from speech_models import Smearing, regeneration, scaling

from sciddm.classical.linear_prediction import LinearPrediction
from sciddm.errors import InputError, ModelError, OptionError
from sciddm.method_choice import MethodChoice
from sciddm.methods import SOLVERS
from sciddm.physics.speech.chunks import Chunking
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech.estimator import Estimator, kind_of, plan
from sciddm.pipelines.speech.pipeline import SpeechEnhancement
from sciddm.pipelines.speech.settings import QUALITIES, Settings, settings_for
from sciddm.process import OUVE, SBVE
from sciddm.random.streams import Streams
from sciddm.simulation.speech.music import music
from sciddm.simulation.speech.synthetic import speech_like

SHORT = Chunking(frames=160, overlap=64, fade=16, step=16)


def recording(
    seconds: float = 1.0, rate: int = 16000, channels: int = 1, band: float = 3000.0, seed: int = 0
) -> xr.DataArray:
    """Noise below `band` Hz: within what every rate and the resampling filter pass."""
    frames = round(seconds * rate)
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((channels, frames)))
    spectrum[:, np.fft.rfftfreq(frames, 1 / rate) > band] = 0
    fade = np.hanning(frames + 2)[1:-1]  # no step at the ends, and no offset
    wave = np.fft.irfft(spectrum, frames) * fade
    wave -= fade * wave.sum(1, keepdims=True) / fade.sum()
    wave = 0.5 * wave / (np.abs(wave).max() or 1.0)
    return xr.DataArray(
        wave.astype(np.float32), dims=("channel", "time"), attrs={"rate": rate, "source": "x.wav"}
    )


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_model_that_changes_nothing_changes_nothing(rate, channels):
    noisy = recording(0.7, rate, channels) + np.float32(0.05)  # with an offset
    noisy.attrs = {"rate": rate}
    result = SpeechEnhancement(scaling(1.0), chunking=SHORT)(noisy, quality="fast")
    assert result["enhanced"].shape == noisy.shape
    np.testing.assert_array_equal(result["noisy"], noisy)
    np.testing.assert_allclose(result["enhanced"], noisy, atol=2e-5)
    assert result.attrs["rate"] == rate
    assert result.attrs["dc_offset"] == pytest.approx([0.05] * channels, abs=1e-3)


def test_an_amplitude_halved_in_the_compressed_domain_is_quartered():
    """|X| = (|Z| / beta)^2, and the offset is no part of the speech."""
    noisy = recording() + np.float32(0.1)
    noisy.attrs = {"rate": 16000}
    result = SpeechEnhancement(scaling(0.5))(noisy, quality="fast")
    mean = float(noisy.mean())
    wanted = mean + 0.25 * (noisy - mean)
    # Below its floor of -120 dB the compression is linear: nearly 0 in either case.
    np.testing.assert_allclose(result["enhanced"], wanted, atol=2e-5)
    assert result.attrs["level_change_db"] < -8


@pytest.mark.parametrize("frames", [1, 2, 100, 256, 1600])
def test_short_clips(frames):
    noisy = recording(frames / 16000, band=8000)
    noisy.values[:] = np.random.default_rng(0).uniform(-1, 1, noisy.shape)
    result = SpeechEnhancement(regeneration())(noisy)
    assert result["enhanced"].shape == (1, frames)
    assert np.isfinite(result["enhanced"]).all()
    same = SpeechEnhancement(scaling(1.0))(noisy, quality="fast")["enhanced"]
    np.testing.assert_allclose(same, noisy, atol=2e-5)


@pytest.mark.parametrize("offset", [0.0, 0.3])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_stays_silence(offset, rate):
    noisy = recording(0.5, rate, channels=2)
    noisy.values[1] = offset
    pipeline = SpeechEnhancement(regeneration())
    result = pipeline(noisy)
    np.testing.assert_array_equal(result["enhanced"][1], noisy[1])
    assert np.abs(result["enhanced"][0] - noisy[0]).max() > 0.01
    silent = pipeline(noisy.isel(channel=[1]))
    np.testing.assert_array_equal(silent["enhanced"][0], noisy[1])
    assert silent.attrs["nfe"] == 0
    assert "silent" in json.loads(silent.attrs["warnings"])[0]


def test_a_silent_part_of_a_recording_stays_silent():
    noisy = recording(4.0)
    noisy.values[:, 20_000:44_000] = 0
    noisy.values -= noisy.values.mean()
    noisy.values[:, 20_000:44_000] = 0
    result = SpeechEnhancement(regeneration(), chunking=SHORT)(noisy)
    # The mean is not exactly 0, but what is left of it is below one bit of 24.
    assert np.abs(result["enhanced"][:, 21_000:43_000]).max() < 0.02


def test_a_clipped_recording_is_enhanced_and_named():
    noisy = recording(band=2000)
    noisy.values[:] = np.clip(5 * noisy.values, -1, 1)
    result = SpeechEnhancement(scaling(1.0))(noisy, quality="fast")
    assert "clipped" in json.loads(result.attrs["warnings"])[0]
    np.testing.assert_allclose(result["enhanced"], noisy, atol=5e-5)


@pytest.mark.parametrize("model", [regeneration(), Smearing(), Smearing(OUVE())])
@pytest.mark.parametrize("seconds", [3.0, 5.3])
def test_chunks_do_not_matter_away_from_seams(model, seconds):
    noisy = recording(seconds)
    chunked = SpeechEnhancement(model, chunking=SHORT)
    whole = SpeechEnhancement(model, chunking=Chunking(frames=10_000))
    a, b = (p(noisy, seed=3)["enhanced"].values[0] for p in (chunked, whole))
    chunks = SHORT.cut(noisy.sizes["time"], 128)
    assert len(chunks) > 2
    error = np.abs(a - b)
    # The model sees 4 frames to each side, the window 2 more: the overlap hides all of a seam.
    assert error.max() < 1e-3 * np.abs(b).max()


def test_chunks_do_not_matter_to_the_bundled_kind_of_network():
    """With a margin beyond the network's context even the seams are those of the whole."""
    from sciddm.networks.spectrogram import SpectrogramUNet
    from sciddm.priors.predictor import Predictor

    torch.manual_seed(0)
    small = {"channels": [8, 8], "blocks": [1], "dilations": [1], "squeeze": 2, "levels": False}
    model = Predictor(SpectrogramUNet(2, 4, **small)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    chunking = Chunking(frames=320, overlap=128, fade=16, step=32)
    assert (chunking.overlap - chunking.fade) // 2 > model.network.context + 4
    noisy = recording(6.0)
    a, b = (
        SpeechEnhancement(model, chunking=c)(noisy, quality="fast")["enhanced"].values
        for c in (chunking, Chunking(frames=10_000))
    )
    assert len(chunking.cut(noisy.sizes["time"], 128)) > 2
    assert np.abs(b - noisy.values).max() > 0.01  # it does something
    assert np.abs(a - b).max() < 1e-3 * np.abs(b).max()


def test_noise_is_shared_where_chunks_overlap(monkeypatch):
    """With noise of their own the two sides of a seam would differ by the posterior's spread."""
    model = regeneration(1.0, variance=1.0)
    noisy = recording(3.0)
    chunkings = (Chunking(frames=10_000), SHORT, SHORT)
    whole, other, same = (
        SpeechEnhancement(model, chunking=c)(noisy, samples=2, seed=s)["enhanced"]
        for c, s in zip(chunkings, (0, 1, 0), strict=True)
    )
    spread = float(np.abs(whole - other).max())
    assert spread > 1e-4
    assert float(np.abs(whole - same).max()) < 1e-3 * spread


def test_a_channel_does_not_depend_on_the_others():
    noisy = recording(1.0, channels=2)
    pipeline = SpeechEnhancement(regeneration(1.0, variance=1.0))
    both = pipeline(noisy, seed=5)["enhanced"]
    alone = pipeline(noisy.isel(channel=[0]), seed=5)["enhanced"]
    np.testing.assert_array_equal(both[0], alone[0])


def test_the_level_does_not_matter():
    noisy = recording(1.0)
    pipeline = SpeechEnhancement(regeneration())
    loud, quiet = pipeline(noisy)["enhanced"], pipeline(noisy * 1e-3)["enhanced"]
    np.testing.assert_allclose(quiet * 1e3, loud, atol=1e-4 * float(np.abs(loud).max()))


@pytest.fixture
def quiet(request):
    return recording(1.0)


def test_the_standard_deviation_is_that_of_the_samples(quiet):
    noisy = quiet * 1.0
    noisy.attrs = {"rate": 16000}
    pipeline = SpeechEnhancement(regeneration(1.0, variance=1.0))
    three = pipeline(noisy, quality="best", samples=3, seed=1)
    one = pipeline(noisy, quality="best", samples=1, seed=1)
    assert "std" not in one
    assert three.attrs["samples"] == 3
    assert float(three["std"].mean()) > 0
    # Sample 0 of three is the one sample; a third of its distance from the mean bounds the spread.
    apart = np.abs(one["enhanced"] - three["enhanced"])
    assert (apart <= three["std"] * math.sqrt(2) * 2 / math.sqrt(3) + 1e-6).all()
    assert float(apart.max()) > 0


@pytest.mark.parametrize("limit", [0.0, 6.0, 40.0])
def test_the_attenuation_limit_is_the_most_that_is_taken_away(limit):
    """From a model that leaves nothing, so many dB of the recording are left."""
    noisy = recording()
    result = SpeechEnhancement(scaling(1e-4))(noisy, quality="fast", attenuation_limit=limit)
    np.testing.assert_allclose(result["enhanced"], noisy * 10 ** (-limit / 20), atol=2e-5)


def test_seeds_and_costs():
    noisy = recording(3.0)
    pipeline = SpeechEnhancement(regeneration(variance=1.0), chunking=SHORT)
    first, again, other = (pipeline(noisy, samples=2, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first["enhanced"], again["enhanced"])
    assert np.abs(first["enhanced"] - other["enhanced"]).max() > 1e-4
    steps, views = (getattr(QUALITIES["regeneration"]["balanced"], k) for k in ("steps", "views"))
    # The predictor, and one for each step, in each view.
    assert pipeline(noisy).attrs["nfe"] == views * (1 + steps)
    three = pipeline(noisy, samples=3)
    assert three.attrs["nfe"] == views * (1 + 3 * three.attrs["steps"])
    assert pipeline(noisy, quality="fast").attrs["nfe"] == 1
    assert first.attrs["parts"] == len(SHORT.cut(48_000, 128))


def test_chunks_suit_the_network():
    """Every network's coarsest level sees chunks that begin where its frames do."""
    from sciddm.networks.spectrogram import SpectrogramUNet
    from sciddm.priors.predictor import Predictor

    small = {"channels": [8, 8], "blocks": [1], "dilations": [1], "squeeze": 2, "levels": False}
    local = Predictor(SpectrogramUNet(2, 4, **small))
    assert SpeechEnhancement(local).front.chunking == Chunking()
    assert Chunking().step % local.network.stride == 0
    # A network that does not say how far it sees is given crops like those of its training.
    assert SpeechEnhancement(scaling(1.0)).front.chunking.frames == 512
    assert SpeechEnhancement(scaling(1.0)).front.chunking.step % 64 == 0


def test_progress_ends_at_its_total():
    told = []
    SpeechEnhancement(scaling(1.0), chunking=SHORT)(
        recording(3.0, channels=2), quality="fast", progress=lambda *a: told.append(a[:2])
    )
    total = 2 * len(SHORT.cut(48_000, 128))
    assert told == [(i + 1, total) for i in range(total)]


@pytest.mark.parametrize("sampler", ["ode", "sde", "dpm++"])
@pytest.mark.parametrize("process", [SBVE(), OUVE()])
@pytest.mark.parametrize("steps", [1, 4])
def test_samplers_count_their_evaluations_and_reach_the_posterior(sampler, process, steps):
    """One step from an almost certain prior gives its mean."""
    model = Smearing(process, variance=1e-8)
    y = STFT().analyse(torch.from_numpy(recording().values))[:, None]
    from sciddm.ledger import tally

    with tally() as cost:
        [x] = Estimator(model, Settings(sampler, steps))(y, [Streams(0, 1)])
    assert cost.nfe == steps
    torch.testing.assert_close(x, model.prior_mean(y), rtol=0, atol=1e-3)


def test_the_published_grid():
    times, _ = plan(OUVE(), Settings("pc", 30))
    assert len(times) == 31
    assert (times[0], times[-2], times[-1]) == (1.0, pytest.approx(0.03), 0.0)
    assert times[0] - times[1] == pytest.approx(0.0334483, abs=1e-7)


def test_samples_of_what_is_not_random_are_refused():
    """The ODE of a bridge starts at y without noise; OUVE's starts with noise."""
    noisy = recording(0.1)
    with pytest.raises(InputError, match="same answer"):
        SpeechEnhancement(Smearing(SBVE())).open(noisy, settings=Settings("ode", 4), samples=2)
    with pytest.raises(InputError, match="same answer"):
        SpeechEnhancement(Smearing(SBVE())).open(noisy, settings=Settings("sde", 1), samples=2)
    SpeechEnhancement(Smearing(OUVE())).open(noisy, settings=Settings("ode", 4), samples=2)
    SpeechEnhancement(Smearing(SBVE())).open(noisy, settings=Settings("sde", 4), samples=2)


@pytest.mark.parametrize("quality", ["balanced", "best"])
def test_draws_that_are_asked_for_differ(quality):
    result = SpeechEnhancement(regeneration())(recording(0.5), quality=quality, samples=3)
    assert result.attrs["steps"] >= 4
    assert float(result["std"].max()) > 1e-4


def test_the_spread_is_calibrated_by_the_card():
    noisy = recording(0.5)
    plain = SpeechEnhancement(regeneration())
    wide = SpeechEnhancement(regeneration(), calibration={"best": {"spread": 3.0}})
    a, b = (p(noisy, quality="best") for p in (plain, wide))
    assert (a.attrs["spread"], b.attrs["spread"]) == (1.0, 3.0)
    np.testing.assert_allclose(b["std"], 3 * a["std"], rtol=1e-6)
    np.testing.assert_array_equal(b["enhanced"], a["enhanced"])
    assert wide(noisy, quality="balanced", samples=2).attrs["spread"] == 1.0


def test_music_is_not_called_calibrated():
    by_level = [0.9, 0.91, 0.92, 0.93]
    pipeline = SpeechEnhancement(regeneration(), calibration={"best": {"by_level": by_level}})
    tune = music(4 * 16_000, 16_000, np.random.default_rng(1))
    answers = []
    for wave in (speech_like(4.0, 16_000, 1), tune):
        data = xr.DataArray(wave[None], dims=("channel", "time"), attrs={"rate": 16_000})
        verdict = json.loads(pipeline(data, quality="best").attrs["verdict"])
        answers.append(verdict["calibrated"])
    assert [a["answer"] for a in answers] == ["yes", "not checked"]
    assert "of another kind" in answers[1]["sentence"]
    assert [a["figure"] for a in answers] == [0.9, 0.9]


def test_kinds():
    assert kind_of(scaling(1.0)) == "predictor"
    assert kind_of(Smearing()) == "diffusion"
    assert kind_of(regeneration()) == "regeneration"
    with pytest.raises(InputError, match="does not enhance"):
        kind_of(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quality": "superb"}, "superb"),
        ({"samples": 0}, "at least 1"),
        ({"samples": 2, "quality": "fast"}, "same answer"),
        ({"attenuation_limit": -1.0}, "0 dB"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(InputError, match=said):
        SpeechEnhancement(regeneration())(recording(0.1), **options)


def test_numbers_that_are_none():
    noisy = recording(0.1)
    noisy.values[0, 5] = np.inf
    with pytest.raises(InputError, match=r"x\.wav.*NaN or infinite"):
        SpeechEnhancement(scaling(1.0))(noisy)


def test_a_saved_pipeline_is_the_same_pipeline(tmp_path):
    from sciddm.networks import build_network
    from sciddm.priors.predictor import Predictor

    torch.manual_seed(0)
    network = build_network(
        {
            "name": "SpectrogramUNet",
            "in_channels": 2,
            "out_channels": 4,
            "bins": 64,
            "channels": [8, 8],
            "blocks": [1],
            "dilations": [1],
            "squeeze": 2,
            "levels": False,
        }
    )
    for parameter in network.parameters():
        parameter.data = (parameter.data + 0.05 * torch.randn_like(parameter)).half().float()
    stft = STFT(n_fft=126, hop=32)
    before = LinearPrediction(taps=5, delay=3, n_fft=256, hop=64, rate=8000)
    pipeline = SpeechEnhancement(Predictor(network), stft, 8000, prediction=before)
    pipeline.save(tmp_path / "model")
    loaded = SpeechEnhancement.from_pretrained(tmp_path / "model")
    assert (loaded.front.stft, loaded.front.rate) == (stft, 8000)
    assert loaded.front.prediction == before
    noisy = recording(0.5, 16000)
    a, b = (p(noisy, quality="fast")["enhanced"].values for p in (pipeline, loaded))
    # Weights are kept in half precision, and the loaded model may compute in bfloat16.
    np.testing.assert_allclose(a, b, atol=0.02 * np.abs(a).max())
    config = tmp_path / "model" / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({k: v for k, v in content.items() if k != "representation"}))
    with pytest.raises(ModelError, match="not made for speech"):
        SpeechEnhancement.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize("process", [SBVE(), OUVE()])
@pytest.mark.parametrize("name", SOLVERS)
def test_any_solver_reaches_an_almost_certain_posterior(name, process):
    model = Smearing(process, variance=1e-8)
    y = STFT().analyse(torch.from_numpy(recording(0.3).values))[:, None]
    settings = settings_for("diffusion", "fast", None, MethodChoice(name, None, 6))
    [x] = Estimator(model, settings)(y, [Streams(0, 1)])
    torch.testing.assert_close(x, model.prior_mean(y), rtol=0, atol=1e-3)


def test_a_solver_that_is_asked_for_is_told_and_not_called_calibrated():
    noisy = recording(0.3)
    pipeline = SpeechEnhancement(regeneration(), calibration={"fast": {"spread": 3.0}})
    result = pipeline(noisy, quality="fast", samples=2, sampler="dpm-2m-sde", steps=5)
    attrs = result.attrs
    assert (attrs["sampler"], attrs["steps"], attrs["spread"]) == ("dpm-2m-sde", 6, 1.0)
    assert attrs["quality"] == ""
    steps = pipeline(noisy, quality="best", samples=2, steps=7).attrs
    assert (steps["sampler"], steps["steps"]) == ("sde", 8)
    with pytest.raises(InputError, match="same answer"):
        SpeechEnhancement(Smearing(SBVE())).open(noisy, samples=2, sampler="heun")
    with pytest.raises(OptionError, match="answers in one evaluation"):
        SpeechEnhancement(scaling(1.0)).open(noisy, sampler="heun")
    with pytest.raises(OptionError, match="sampler magic"):
        pipeline.open(noisy, sampler="magic")
