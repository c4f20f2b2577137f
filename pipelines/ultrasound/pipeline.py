"""Dehazing of ultrasound frames: what is tissue, what is haze, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import sciddm
from sciddm import zoo
from sciddm.companding import MU, compand
from sciddm.data_adapters.ultrasound import checked_frames, open_frames
from sciddm.errors import InputError, ModelError
from sciddm.ledger import Cost
from sciddm.physics.ultrasound.estimate import Widening, estimate
from sciddm.physics.ultrasound.mixing import CompandedEchoes, CompandedEnvelopes, CompandedSum
from sciddm.physics.ultrasound.representation import Representation, represent
from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.physics.ultrasound.waves import envelope
from sciddm.pipelines.engine.pipeline import Pipeline
from sciddm.pipelines.ultrasound.separate import patches, separate
from sciddm.pipelines.ultrasound.settings import Settings, chosen
from sciddm.posterior import Consistency
from sciddm.priors.joint import JointDenoiser
from sciddm.progress import Progress
from sciddm.uncertainty.consistency import consistency_attributes

__all__ = ["DEFAULTS", "Store", "UltrasoundDehazing"]

#: Bundled models of tissue and haze, for echoes and for envelopes.
DEFAULTS = {
    "rf": ("us-tissue", "us-haze"),
    "envelope": ("us-tissue-envelope", "us-haze-envelope"),
}
_TISSUE, _HAZE = "tissue", "haze"
#: Evidence for haze, in nats per entry, below which nothing is taken away unless it is asked for:
#: of nine simulated scans with haze it was -0.012 at least, of their clean tissue -0.095 to -0.001,
#: of a real scan of a phantom -0.12.
_AGAINST = -0.05
_LEFT = (
    "The spectra of this scan are explained better without haze ({:.3f} nats an entry): it was "
    "left as it is. --gamma 1 takes haze away all the same."
)
_DOUBT = (
    "The spectra of this scan are explained without haze as well ({:.3f} nats an entry): what was "
    "taken away may be tissue. Compare with a smaller --gamma."
)
_MUCH = 0.97  # share of the power that is taken away, above which little of the scan is left


class Store(Protocol):
    """Keeps finished frames of a clip; see `unfinished`."""

    def load(self, frame: int) -> dict[str, NDArray[Any]] | None: ...
    def store(self, frame: int, **arrays: Any) -> None: ...


@dataclass(frozen=True)
class _Priors:
    """The two models of one kind of data."""

    tissue: zoo.Model
    haze: zoo.Model
    prior: JointDenoiser


class UltrasoundDehazing(Pipeline):
    """Hazy frames to tissue and haze.

    y = A(tissue, gamma haze) + n is sampled with two diffusion priors at once (`separate`); the
    estimate has the mean phase and the mean power of the samples' tissue. Sampling starts from what
    the scan's local spectra say, frames of a clip from the one before.

    Args:
        tissue, haze: names, folders or hub ids of the models; None for the bundled ones that fit
            the data.
    """

    def __init__(self, tissue: str | Path | None = None, haze: str | Path | None = None) -> None:
        if (tissue is None) != (haze is None):
            raise InputError("two models belong together, of tissue and of haze: give both or none")
        self.tissue, self.haze = tissue, haze
        self._priors: dict[str, _Priors] = {}

    @classmethod
    def from_pretrained(cls, source: str | Path = "us") -> Self:
        """See `Pipeline.from_pretrained`.

        Args:
            source: a folder that `save` wrote; or the common part of two names: "us" is for
                us-tissue and us-haze, or us-tissue-envelope and us-haze-envelope.
        """
        folder = Path(source)
        if folder.is_dir():
            return cls(folder / _TISSUE, folder / _HAZE)
        if str(source) == "us":
            return cls()
        return cls(f"{source}-tissue", f"{source}-haze")

    def save(self, path: str | Path) -> None:
        """See `Pipeline.save`: two model folders, `tissue` and `haze`."""
        pair = DEFAULTS["rf"] if self.tissue is None else (self.tissue, self.haze)
        for part, name in zip((_TISSUE, _HAZE), pair, strict=True):
            found = zoo.from_pretrained(str(name))
            zoo.save_model(
                found.model,
                Path(path) / part,
                card={"name": found.name, "calibration": found.card.calibration},
                representation=found.representation,
            )

    def load(self, kind: str) -> _Priors:
        """The models for a kind of frames, read once.

        Raises:
            ModelError: not there, or made for something else.
        """
        data = "rf" if kind in ("rf", "iq") else "envelope"
        if data not in self._priors:
            names = DEFAULTS[data] if self.tissue is None else (self.tissue, self.haze)
            models = [zoo.from_pretrained(str(name)) for name in names]
            for model, part in zip(models, (_TISSUE, _HAZE), strict=True):
                made_for = (model.representation.get("kind"), model.representation.get("data"))
                if made_for != (f"us-{part}", data):
                    raise ModelError(
                        f"model {model.name!r} is none of {part} for {data} data: give one, as "
                        f"{DEFAULTS[data][part == _HAZE]}"
                    )
            try:
                prior = JointDenoiser([m.denoiser for m in models])
            except ValueError as error:
                raise ModelError(f"{models[0].name} and {models[1].name}: {error}") from error
            self._priors[data] = _Priors(models[0], models[1], prior)
        return self._priors[data]

    def __call__(
        self,
        data: xr.Dataset | str | Path,
        /,
        *,
        quality: str = "balanced",
        gamma: float | None = None,
        guidance: str | None = None,
        samples: int | None = None,
        seed: int = 0,
        range_db: float | None = None,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Dehazes frames.

        Args:
            data: in the form of `data_adapters.ultrasound.frames`, or a file that holds it.
            quality: "fast", "balanced" or "best".
            gamma: how much haze may explain: 0 nothing, 1 what the model expects. If None it is 1,
                but 0 for echoes whose spectra speak against haze (`LocalSpectra.evidence`).
            guidance: the likelihood step, "mmps", "pigdm" or "dps"; by the quality if None.
            samples: of the posterior, an even number; by the quality if None.
            seed: of all noise.
            range_db: dynamic range of B-mode images; the file's, else 60.
            store: keeps finished frames.
            progress: called after every step.

        Returns:
            The data set with `frames` dehazed, in its own kind and units; `haze`, what was taken
            away (frames of a kind that adds up: their difference); `hazy`, as it was; `std`, of the
            amplitude of `frames` (B-mode: of its values); and attributes that repeat the run.
            Frames with nothing in them, and pixels outside `mask`, are as they were.

        Raises:
            InputError: unusable data or options.
            ModelError: a model is missing or does not fit.
        """
        held = checked_frames(open_frames(data) if isinstance(data, str | Path) else data)
        if gamma is not None and not 0 <= gamma <= 10:
            raise InputError(f"--gamma {gamma:g}: between 0 (haze explains nothing) and 10")
        echoes = held.attrs["kind"] in ("rf", "iq")
        settings = chosen(quality, envelopes=not echoes, guidance=guidance, samples=samples)
        form = represent(held, range_db)
        priors = self.load(held.attrs["kind"])
        mu = float(priors.tissue.representation.get("mu", MU))
        evidence = _evidence(held, form) if echoes else None
        against = evidence is not None and evidence < _AGAINST
        asked = gamma if gamma is not None else 0.0 if against else 1.0
        mixture = (CompandedEchoes if echoes else CompandedEnvelopes)(asked, mu)
        widening = Widening.of_card(priors.tissue.card.calibration, quality)
        run = _Run(held, form, priors.prior, mixture, settings, widening, seed, store)
        frames = run.all(progress or (lambda *_: None))
        result = self._result(held, frames, run, priors, settings, asked, quality, seed, form)
        if evidence is None:
            return result
        result.attrs["haze_evidence"] = round(evidence, 4)
        left = against and gamma is None
        if left or (evidence < 0 and asked > 0):
            remark = (_LEFT if left else _DOUBT).format(evidence)
            warnings = [*json.loads(result.attrs["warnings"]), remark]
            result.attrs["warnings"] = json.dumps(warnings)
        return result

    def _result(
        self,
        held: xr.Dataset,
        frames: list[dict[str, NDArray[Any]]],
        run: _Run,
        priors: _Priors,
        settings: Settings,
        gamma: float,
        quality: str,
        seed: int,
        form: Representation,
    ) -> xr.Dataset:
        dims = ("frame", "depth", "lateral")
        hazy = held["frames"].values
        clean = np.stack([f["frames"] for f in frames])
        out = held.assign(
            frames=(dims, clean),
            hazy=(dims, hazy),
            haze=(dims, hazy - clean),
            std=(dims, np.stack([f["std"] for f in frames])),
        )
        done = [f for f in frames if int(f["done"])]
        empty = [i + 1 for i, f in enumerate(frames) if not int(f["done"])]
        power = [float(np.mean(np.abs(hazy[i]) ** 2)) for i, f in enumerate(frames) if f["done"]]
        taken = [
            float(np.mean(np.abs(hazy[i] - clean[i]) ** 2))
            for i, f in enumerate(frames)
            if f["done"]
        ]
        share = sum(taken) / sum(power) if sum(power) else 0.0
        found = [Consistency(float(f["residual"]), int(np.size(f["std"]))) for f in done]
        told = consistency_attributes(found)
        warnings = [*json.loads(told["warnings"]), *form.remarks]
        if empty:
            shown = ", ".join(map(str, empty[:6])) + (" ..." if len(empty) > 6 else "")
            warnings.append(f"Frames without any signal were left as they are: {shown}.")
        if share > _MUCH:
            warnings.append(
                f"{share:.0%} of the power was taken away: little of this scan is like the tissue "
                "of the training data, or it is all haze."
            )
        count = max(1, len(done) * settings.samples * run.pieces)
        told |= {
            "model": f"{priors.tissue.name}, {priors.haze.name}",
            "weights_sha256": priors.tissue.weights_sha256,
            "haze_weights_sha256": priors.haze.weights_sha256,
            "method": "joint posterior sampling of tissue and haze",
            "sampler": "ancestral steps on a Karras grid (rho 4)",
            **asdict(settings),
            "gamma": gamma,
            "quality": quality,
            "seed": seed,
            "std_spread": run.widening.spread,
            "std_taken": run.widening.taken,
            "full_scale": form.scale,
            "patches": run.pieces,
            "nfe": sum(float(f["nfe"]) for f in done) / count,
            "nvjp": sum(float(f["nvjp"]) for f in done) / count,
            "haze_share": round(share, 4),
            "empty_frames": empty,
            "sciddm_version": sciddm.__version__,
            "warnings": json.dumps(warnings),
        }
        return out.assign_attrs(told)


def _evidence(held: xr.Dataset, form: Representation) -> float | None:
    """`LocalSpectra.evidence` of the first frame that holds something; None if none does."""
    for frame in held["frames"]:
        if np.abs(frame.values).max(initial=0) > 0:
            return LocalSpectra(torch.from_numpy(form.to_model(frame.values))).evidence()
    return None


class _Run:
    """All frames of one data set, one after the other."""

    def __init__(
        self,
        held: xr.Dataset,
        form: Representation,
        prior: JointDenoiser,
        mixture: CompandedSum,
        settings: Settings,
        widening: Widening,
        seed: int,
        store: Store | None,
    ) -> None:
        self.held, self.form, self.prior, self.mixture = held, form, prior, mixture
        self.settings, self.widening = settings, widening
        self.seed, self.store = seed, store
        mask = held["mask"].values if "mask" in held else None
        self.mask = np.ones(held["frames"].shape[1:], bool) if mask is None else mask
        self.seen = torch.from_numpy(form.seen_mask(self.mask))
        self.pieces = len(list(patches((self.seen.shape[0], self.seen.shape[1]))))

    def all(self, progress: Progress) -> list[dict[str, NDArray[Any]]]:
        """What `unfinished` keeps of each frame: frames, std, residual, nfe, nvjp, done."""
        count = self.held.sizes["frame"]
        per_frame = self.pieces * self.settings.steps
        found, before = [], None
        for i in range(count):
            kept = None if self.store is None else self.store.load(i)
            if kept is None:
                steps = 0

                def tick(i: int = i) -> None:
                    nonlocal steps
                    steps += 1
                    done = i * per_frame + min(steps, per_frame)
                    progress(done, count * per_frame, f"frame {i + 1} of {count}")

                kept = self._one(np.asarray(self.held["frames"][i].values), before, tick)
                if self.store is not None:
                    self.store.store(i, **kept)
            progress((i + 1) * per_frame, count * per_frame, f"frame {i + 1} of {count}")
            before = torch.from_numpy(kept["state"]).float() if int(kept["done"]) else None
            found.append({k: v for k, v in kept.items() if k != "state"})
        return found

    def _one(
        self, frame: NDArray[Any], before: torch.Tensor | None, tick: Callable[[], None]
    ) -> dict[str, NDArray[Any]]:
        if not np.abs(frame[self.mask]).max(initial=0) > 0:
            nothing = {k: np.asarray(0.0) for k in ("residual", "nfe", "nvjp")}
            std = np.zeros(frame.shape, np.float32)
            return {"frames": frame, "std": std, "done": np.asarray(0), **nothing}
        amplitude = self.form.to_model(frame)
        y = compand(torch.from_numpy(amplitude), self.mixture.mu)
        made = separate(
            y,
            self.prior,
            self.mixture,
            self.settings,
            seed=self.seed,
            seen=self.seen,
            before=before,
            tick=tick,
        )
        samples = self.mixture.parts(made.state)[0][:, 0].numpy()
        echoes = isinstance(self.mixture, CompandedEchoes)
        tissue, std = estimate(samples, echoes=echoes)
        taken = amplitude - tissue
        std = self.widening(std, envelope(taken) if echoes else np.abs(taken))
        clean = self.form.result(frame, amplitude, tissue)
        spread = self.form.spread(std, clean)
        cost: Cost = made.cost
        return {
            "frames": np.where(self.mask, clean, frame),
            "std": np.where(self.mask, spread, 0).astype(np.float32),
            "state": made.state.half().numpy(),
            "residual": np.asarray(made.residual),
            "nfe": np.asarray(cost.nfe),
            "nvjp": np.asarray(cost.nvjp),
            "done": np.asarray(1),
        }
