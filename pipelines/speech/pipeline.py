"""Speech enhancement and dereverberation of recordings of any rate, length and channel count."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.allocator import give_back
from sciddm.classical.linear_prediction import LinearPrediction
from sciddm.data_adapters.audio import ArrayRecording, AudioFile, Recording
from sciddm.data_adapters.checks import check_size
from sciddm.denoiser import NetworkDenoiser
from sciddm.device import placed
from sciddm.errors import InputError, ModelError
from sciddm.ledger import tally
from sciddm.method_choice import MethodChoice
from sciddm.metrics.speech import LevelMeter
from sciddm.physics.speech.chunks import Chunking
from sciddm.physics.speech.clean_input import CleanInput
from sciddm.physics.speech.error_law import ErrorLaw
from sciddm.physics.speech.level import LocalLevel
from sciddm.physics.speech.pause_gate import PauseGate
from sciddm.physics.speech.stft import STFT
from sciddm.physics.speech.talkers import TalkerCount
from sciddm.physics.speech.upper_band import BAND
from sciddm.pipelines.engine.pipeline import Pipeline
from sciddm.pipelines.speech.enhance import Block, Front, Levels, enhanced_blocks, measure
from sciddm.pipelines.speech.error_estimate import with_error
from sciddm.pipelines.speech.estimator import Estimator, is_random, kind_of
from sciddm.pipelines.speech.familiar import familiar
from sciddm.pipelines.speech.live import LiveEnhancement, Network, live_blocks
from sciddm.pipelines.speech.settings import Kind, Quality, Settings, settings_for
from sciddm.priors.predictor import Predictor
from sciddm.priors.segmenter import Segmenter
from sciddm.progress import Progress
from sciddm.random.streams import Streams
from sciddm.uncertainty.verdict import Finding, Verdict

__all__ = ["SpeechEnhancement"]

_DEFAULT_RATE = 16_000
_TALKERS = "speech-talkers"
#: Share of samples in flat tops from which a recording counts as clipped.
_CLIPPED = 1e-4
#: Change of level, in dB, that is no longer plausible for speech that was kept.
_LEVEL_RANGE = (-12.0, 1.0)
#: Coverage of 90 % intervals that is near enough, in the quarter of level where it is least.
_HELD = 0.85


class SpeechEnhancement(Pipeline):
    """Noisy or reverberant recordings to clean ones.

    A recording is brought to the model's rate and to a peak of 1, estimated as a compressed
    spectrogram chunk by chunk (`enhance`, `estimator`), and given back at its own rate, length,
    channels, level and offset.

    Args:
        model: a `Predictor`, a `StochasticRegeneration`, or a `Denoiser` whose process ends at
            the noisy signal.
        stft: the representation it was trained on.
        rate: of its training data, in Hz.
        prediction: what took late reverberation away from its training data first, if anything.
        level: brings every moment of a recording to the level of the training data, if given.
        gate: takes more away where the model finds no speech, if given.
        clean: gives the recording back where it has no noise, if given.
        talkers: counts several talkers at once, for a warning, if given.
        chunking: how long recordings are cut; by what the model's networks can see if not given.
        calibration: the card's entry: for a quality {"error_law": {...}}, an
            `sciddm.physics.speech.error_law.ErrorLaw`, or {"spread": factor} on the standard
            deviation of samples, by which 90 % intervals held 90 % of validation recordings, and
            {"by_level": [...]}, what they held in each quarter of level, the quietest first.
        provenance: name and hash of the model.
    """

    def __init__(
        self,
        model: Any,
        stft: STFT | None = None,
        rate: int = _DEFAULT_RATE,
        *,
        prediction: LinearPrediction | None = None,
        level: LocalLevel | None = None,
        gate: PauseGate | None = None,
        clean: CleanInput | None = None,
        talkers: TalkerCount | None = None,
        chunking: Chunking | None = None,
        calibration: Mapping[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.calibration = dict(calibration or {})
        self.kind: Kind = kind_of(model)
        self.model = model
        self.talkers = talkers
        stft = stft or STFT()
        reach = sum(part.context(stft, rate) for part in (level, gate, clean) if part is not None)
        chunking = chunking or _chunking(model, reach)
        self.front = Front(stft, rate, chunking, prediction, level, gate, clean)
        self.provenance = provenance or {"model": "unnamed", "weights_sha256": ""}

    @classmethod
    def from_pretrained(cls, source: str | Path = "speech-denoise") -> Self:
        """See `Pipeline.from_pretrained`; an official SGMSE+ or StoRM checkpoint (.ckpt) too."""
        loaded = zoo.from_pretrained(source)
        settings = dict(loaded.representation)
        if not settings:
            raise ModelError(
                f"{source}: the model states no spectrogram: it is not made for speech"
            )
        rate = int(settings.pop("rate", _DEFAULT_RATE))
        before = settings.pop("linear_prediction", None)
        nearby = settings.pop("local_level", None)
        quieter = settings.pop("pause_gate", None)
        as_recorded = settings.pop("clean_input", None)
        try:
            stft = STFT(**settings)
            prediction = LinearPrediction(**{**before, "rate": rate}) if before else None
            level = LocalLevel(**nearby) if nearby else None
            gate = PauseGate(**quieter) if quieter else None
            clean = CleanInput(**as_recorded) if as_recorded else None
        except (TypeError, InputError) as error:
            raise ModelError(
                f"{source}: the model's spectrogram is not usable ({error})"
            ) from error
        provenance = {"model": loaded.name, "weights_sha256": loaded.weights_sha256}
        return cls(
            loaded.model,
            stft,
            rate,
            prediction=prediction,
            level=level,
            gate=gate,
            clean=clean,
            talkers=_talker_count(),
            calibration=loaded.card.calibration,
            provenance=provenance,
        )

    def save(self, path: str | Path) -> None:
        zoo.save_model(
            self.model,
            path,
            card={
                "name": self.provenance["model"],
                **({"calibration": self.calibration} if self.calibration else {}),
            },
            representation=self.front.representation,
        )

    def __call__(
        self,
        data: xr.DataArray | xr.Dataset | str | Path,
        /,
        *,
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        attenuation_limit: float | None = None,
        std: bool = False,
        sampler: str | None = None,
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Enhances a recording in memory; `open` does it block by block.

        Args:
            data: (channel, time) with the attribute `rate` in Hz, full scale at 1, or a file.
            quality: "fast", "balanced" or "best"; see `settings`.
            samples: draws of the posterior, in place of the quality's number.
            seed: of all noise. The same channel gets the same noise whatever else is there.
            attenuation_limit: the most that is taken away, in dB; None for no limit.
            std: whether the error's standard deviation is estimated of one sample, too.
            sampler: solver of the reverse diffusion, a name of `sciddm.methods`.
            steps: noise levels after the first, in place of the quality's number.
            progress: called after each channel of a chunk.

        Returns:
            enhanced, noisy and, where asked for, std, all (channel, time), and attributes; see
            `Pipeline`.

        Raises:
            InputError: unusable data or options.
        """
        run = self.open(
            data,
            quality=quality,
            samples=samples,
            seed=seed,
            attenuation_limit=attenuation_limit,
            std=std,
            sampler=sampler,
            steps=steps,
            progress=progress,
        )
        check_size(
            Path(run.recording.name), "sound", (run.recording.channels, run.recording.frames), 16
        )
        blocks = list(run)
        names = ["enhanced", "noisy"] + ["std"] * run.std
        variables = {
            name: (
                ("channel", "time"),
                np.concatenate([getattr(block, name) for block in blocks], axis=1),
            )
            for name in names
        }
        return xr.Dataset(variables, attrs=run.attrs)

    def open(
        self,
        data: Recording | xr.DataArray | xr.Dataset | str | Path,
        /,
        *,
        quality: Quality = "balanced",
        samples: int | None = None,
        seed: int = 0,
        attenuation_limit: float | None = None,
        std: bool = False,
        sampler: str | None = None,
        steps: int | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> Enhancement:
        """A run that yields the enhanced recording block by block in constant memory.

        Args:
            data: as for a call, or any `Recording`.
            settings: in place of those of the quality, to choose sampler and steps oneself.
            quality, samples, seed, attenuation_limit, std, sampler, steps, progress: as for a call.
        """
        if attenuation_limit is not None and not attenuation_limit >= 0:
            raise InputError(f"an attenuation limit is at least 0 dB, not {attenuation_limit}")
        choice = MethodChoice(sampler, None, steps)
        choice.check()
        chosen = settings
        if chosen is None:
            chosen = settings_for(self.kind, quality, samples, choice)
        if self.causal:  # one pass, in which nothing can be moved against the grid of frames
            chosen = replace(chosen, views=1)
        if settings is not None and samples is not None:
            chosen = replace(settings, samples=samples)
        if chosen.samples > 1 and not is_random(self.model, chosen):
            raise InputError(
                f"{chosen.samples} samples: with the sampler {chosen.sampler!r} this model always "
                "gives the same answer, take another quality or one sample"
            )
        # Nobody compared another solver's error with the truth.
        named = quality if settings is None and choice.own else ""
        entry = self.calibration.get(named, {})
        law = ErrorLaw.of(entry["error_law"]) if "error_law" in entry else None
        if std and law is None and chosen.samples < 2:
            raise InputError(
                "std: this model has no error law for this quality, and one sample tells nothing "
                "of the error: take two samples or more"
            )
        return Enhancement(
            self,
            _recording(data),
            chosen,
            quality=named,
            std=std or chosen.samples > 1,
            law=law,
            spread=float(entry.get("spread", 1.0)),
            seed=seed,
            attenuation_limit=attenuation_limit,
            progress=progress,
        )

    @property
    def causal(self) -> bool:
        """Whether the model needs nothing of the future: for live use."""
        return isinstance(self.model, Predictor) and self.model.causal

    def live(
        self, rate: int, channels: int = 1, *, attenuation_limit: float | None = None
    ) -> LiveEnhancement:
        """An enhancement of sound that is still coming in, with its delay.

        Args:
            rate: of the sound in Hz.
            channels: their number.
            attenuation_limit: the most that is taken away, in dB; None for no limit.

        Raises:
            InputError: the model sees the future.
        """
        return LiveEnhancement(
            Network(self.model, channels),
            self.front.stft,
            self.front.rate,
            rate,
            channels,
            attenuation_limit,
        )


class Enhancement:
    """One run over one recording: iterate over it once, then read `attrs`.

    Attributes:
        recording: what is enhanced.
        settings: sampler, steps, samples.
        std: whether the blocks have a standard deviation.
    """

    def __init__(
        self,
        pipeline: SpeechEnhancement,
        recording: Recording,
        settings: Settings,
        *,
        quality: str,
        std: bool,
        law: ErrorLaw | None,
        spread: float,
        seed: int,
        attenuation_limit: float | None,
        progress: Progress | None,
    ) -> None:
        self.pipeline = pipeline
        self.recording = recording
        self.settings = settings
        self.std = std
        self._law = law
        self._spread = spread
        self._quality = quality
        self._seed = seed
        self._attenuation_limit = attenuation_limit
        self._progress = progress
        self._levels: Levels | None = None
        self._meter = LevelMeter(recording.rate)
        self._evaluations: list[int] = []  # of the network, for each channel of each chunk
        self._unchanged: list[float] = []
        self._seconds = 0.0

    def __iter__(self) -> Iterator[Block]:
        """The blocks, in order.

        Raises:
            InputError: the recording cannot be read to its end, or holds NaN.
        """
        start = time.perf_counter()
        estimator = Estimator(placed(self.pipeline.model), self.settings)
        self._levels = measure(self.recording, self.pipeline.talkers)
        offset = self._levels.mean[:, None]
        blocks = self._live() if self.pipeline.causal else self._whole(estimator)
        if self.std and self._law is not None:
            rate, limit = self.recording.rate, self._attenuation_limit
            blocks = with_error(blocks, self._law, rate, offset, limit)
        for block in blocks:
            self._meter.push(block.noisy - offset, block.enhanced - offset)
            self._seconds = time.perf_counter() - start
            yield block
            give_back()

    def _whole(self, estimator: Estimator) -> Iterator[Block]:
        """Chunk by chunk, each with some of its future."""
        assert self._levels is not None

        def draw(y: Tensor, streams: Sequence[Streams]) -> list[Tensor]:
            with tally() as cost:
                draws = estimator(y, streams)
            self._evaluations.append(cost.nfe)
            return draws

        yield from enhanced_blocks(
            self.recording,
            self._levels,
            self.pipeline.front,
            draw,
            samples=self.settings.samples,
            seed=self._seed,
            attenuation_limit=self._attenuation_limit,
            spread=self._spread,
            unchanged=self._unchanged,
            progress=self._progress,
        )

    def _live(self) -> Iterator[Block]:
        """As from a pipe."""
        assert self._levels is not None
        recording = self.recording
        live = self.pipeline.live(
            recording.rate,
            recording.channels,
            attenuation_limit=self._attenuation_limit,
        )
        self._evaluations.append(1)
        yield from live_blocks(recording, self._levels, live, self._progress)

    @property
    def attrs(self) -> dict[str, Any]:
        """All that repeats the run, what it cost and what is to be said about it."""
        levels, recording, front = self._levels, self.recording, self.pipeline.front
        if levels is None or self._meter.frames != recording.frames:
            raise RuntimeError("the run is not complete: iterate over it first")
        duration = recording.frames / recording.rate
        seen = math.ceil(recording.frames * front.rate / recording.rate)
        change = self._meter.change_db()
        verdict = self._verdict(levels)
        warnings = self._warnings(levels, change)
        if verdict.familiar.answer == "no":
            warnings.append(verdict.familiar.sentence)
        return {
            **self.pipeline.provenance,
            **asdict(self.settings),
            **({"spread": self._spread} if self.settings.samples > 1 else {}),
            **(
                {"error_law": json.dumps(self._law.config)}
                if self.std and self._law is not None
                else {}
            ),
            "quality": self._quality,
            "seed": self._seed,
            **(
                {}
                if self._attenuation_limit is None
                else {"attenuation_limit_db": self._attenuation_limit}
            ),
            "source": Path(recording.name).name,
            "rate": recording.rate,
            "container": getattr(recording, "container", ""),
            "subtype": getattr(recording, "subtype", ""),
            "duration_s": duration,
            "model_rate": front.rate,
            "bandwidth_hz": min(recording.rate, front.rate) / 2,
            **({"upper_band": _upper_band(front.rate)} if recording.rate > front.rate else {}),
            "nfe": max(self._evaluations, default=0),
            "nvjp": 0,
            "parts": len(front.chunking.cut(seen, front.stft.hop)),
            "seconds": round(self._seconds, 3),
            "real_time_factor": round(self._seconds / duration, 4),
            "level_change_db": change,
            "unchanged_share": float(np.mean(self._unchanged or [0.0])),
            "peak": [float(p) for p in levels.peak],
            "dc_offset": [float(m) for m in levels.mean],
            "sciddm_version": sciddm.__version__,
            "warnings": json.dumps(warnings),
            **verdict.attributes(),
        }

    def _verdict(self, levels: Levels) -> Verdict:
        """Is the standard deviation calibrated, is the recording like speech?"""
        calibrated, kind = Finding(), familiar(levels)
        by_level = self.pipeline.calibration.get(self._quality, {}).get("by_level")
        if self.std and by_level:
            least = float(min(by_level))
            text = (
                f"In validation, 90 % intervals hold {100 * least:.0f} to "
                f"{100 * max(by_level):.0f} % of the sound in each quarter of its level."
            )
            holds = least >= _HELD
            calibrated = Finding(
                "yes" if holds else "no", least, _HELD, text, "" if holds else "too small"
            )
            if kind.answer == "no" and holds:
                text = f"{text} This recording is of another kind: what they hold here is unknown."
                calibrated = Finding("not checked", least, _HELD, text)
        return Verdict(calibrated=calibrated, familiar=kind)

    def _warnings(self, levels: Levels, change: float) -> list[str]:
        found = list(getattr(self.recording, "warnings", []))
        low, high = _LEVEL_RANGE
        if levels.silent.all():
            found.append("The recording is silent: it is given back as it is.")
        elif not low <= change <= high:
            found.append(
                f"The loudest parts changed by {change:+.1f} dB: listen to them. They were noise "
                "or a bang, or speech was lost."
            )
        if levels.clipped > _CLIPPED:
            found.append(
                f"The recording is clipped ({100 * levels.clipped:.2g} % of its samples lie in "
                "flat tops); what was cut off is not restored."
            )
        return found


def _talker_count() -> TalkerCount:
    model = zoo.from_pretrained(_TALKERS).model
    if not isinstance(model, Segmenter):
        raise ModelError(f"{_TALKERS}: no classifier of frames")
    return TalkerCount(model.logits)


def _upper_band(rate: int) -> str:
    """What was done above the model's band."""
    low, high = (edge * rate / 2000 for edge in BAND)
    return f"above {rate / 2000:g} kHz: at the gain of {low:.1f} to {high:.1f} kHz"


def _chunking(model: Any, reach: int = 0) -> Chunking:
    """Long chunks for networks that see a bounded stretch (they state their `context`).

    Networks that go through a recording in blocks get chunks that begin with one, and of which
    nothing is used that a seam could have changed. Others (NCSN++) normalise and attend over all
    frames: they were trained on crops of 256, and their memory grows with the square of the length.
    ``reach`` frames further away change the level at which the network sees a frame.
    """
    parts = [m for m in model.modules() if isinstance(m, Predictor | NetworkDenoiser)]
    networks: list[Any] = [part.network for part in parts]
    if networks and all(hasattr(network, "context") for network in networks):
        block = math.lcm(*(getattr(network, "block", 1) for network in networks))
        if block == 1:
            return Chunking(overlap=256 + 2 * reach)
        usual = Chunking()
        hidden = 2 * (max(network.context for network in networks) + reach) + usual.fade
        overlap = block * math.ceil(hidden / block)
        return Chunking(frames=4 * overlap, overlap=overlap, step=block)
    return Chunking(frames=512, overlap=128, step=64)  # 64: frames of their coarsest level


def _recording(data: Recording | xr.DataArray | xr.Dataset | str | Path) -> Recording:
    if isinstance(data, str | Path):
        return AudioFile(data)
    if isinstance(data, xr.DataArray | xr.Dataset):
        return ArrayRecording(data)
    return data
