"""Dehazing of ultrasound frames: what is tissue, what is haze, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

import sciddm
from sciddm import zoo
from sciddm.companding import MU, compand
from sciddm.data_adapters.ultrasound import checked_frames, open_frames
from sciddm.device import placed, to_numpy
from sciddm.errors import InputError, ModelError
from sciddm.ledger import Cost
from sciddm.method_choice import MethodChoice
from sciddm.physics.ultrasound.estimate import Widening, estimate
from sciddm.physics.ultrasound.mixing import CompandedEchoes, CompandedEnvelopes, CompandedSum
from sciddm.physics.ultrasound.picture_evidence import evidence as picture_evidence
from sciddm.physics.ultrasound.representation import Representation, log_compressed, represent
from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.physics.ultrasound.waves import envelope
from sciddm.pipelines.engine.pipeline import Pipeline
from sciddm.pipelines.ultrasound.separate import patches, separate
from sciddm.pipelines.ultrasound.settings import Settings, settings_for
from sciddm.posterior import Consistency
from sciddm.priors.joint import JointDenoiser
from sciddm.progress import Progress
from sciddm.uncertainty.consistency import consistency_attributes
from sciddm.uncertainty.verdict import Answer, Finding, Verdict

__all__ = ["DEFAULTS", "Store", "UltrasoundDehazing"]

#: Bundled models of tissue and haze, for echoes and for envelopes.
DEFAULTS = {
    "rf": ("us-tissue", "us-haze"),
    "envelope": ("us-tissue-envelope", "us-haze-envelope"),
}
_TISSUE, _HAZE = "tissue", "haze"
#: Evidence for haze, below which a scan is returned unchanged unless haze is asked for. Of echoes,
#: in nats per entry: of nine simulated scans with haze it was -0.012 at least, of their tissue
#: -0.095 to -0.001, of a real scan of a phantom -0.12. Eight others had -0.0006 at least and,
#: without haze, -0.04 to 0.004. Of a scan at -0.024 half the power was taken, most of it tissue.
#: Of pictures, logarithm of the odds beyond those that 5 % of clean pictures exceed.
_AGAINST = {"rf": -0.015, "envelope": 0.0}
_UNCHANGED = {
    "rf": "The spectra of {} are explained better without haze ({:.3f} nats an entry): it is "
    "returned unchanged. gamma 1 takes haze away all the same.",
    "envelope": "Speckle and dark regions of {} give no evidence of haze ({:.2f}, it needs 0): it "
    "is returned unchanged. Haze can be there all the same: weak haze, or haze where no place is "
    "dark, leaves none. gamma 1 takes haze away without evidence.",
}
_UNKNOWN = (
    "Too little of {} is there to tell whether it shows haze: it is returned unchanged. gamma 1 "
    "takes haze away all the same."
)
_DOUBT = {
    "rf": "The spectra of {} are explained without haze as well ({:.3f} nats an entry): what was "
    "taken away may be tissue. Compare with a smaller gamma.",
    "envelope": "Speckle and dark regions of {} give no evidence of haze ({:.2f}, it needs 0): "
    "what was taken away may be tissue. Compare with a smaller gamma.",
}
_LOOKED_AT = 5  # frames of a clip that tell whether it shows haze
_FILL = 3.0  # pixels: of the mean that fills drawings
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
        sampler: str | None = None,
        steps: int | None = None,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> xr.Dataset:
        """Dehazes frames.

        Args:
            data: in the form of `data_adapters.ultrasound.frames`, or a file that holds it.
            quality: "fast", "balanced" or "best".
            gamma: how much haze may explain: 0 nothing, 1 what the model expects. If None it is 1
                where the scan shows haze (`LocalSpectra.evidence` of echoes, `picture_evidence` of
                pictures); other scans are returned unchanged, bit for bit.
            guidance: the likelihood step, "mmps", "pigdm" or "dps"; by the quality if None.
            samples: of the posterior, an even number; by the quality if None.
            seed: of all noise.
            range_db: dynamic range of B-mode images; the file's, else 60.
            sampler: solver of the reverse diffusion in place of ancestral steps; a name of
                `sciddm.methods`.
            steps: noise levels after the first, in place of the quality's numbers.
            store: keeps finished frames.
            progress: called after every step.

        Returns:
            The data set with `frames` dehazed, in its own kind and units; `haze`, what was taken
            away (frames of a kind that adds up: their difference); `hazy`, as it was; `std`, of the
            amplitude of `frames` (B-mode: of its values); and attributes that repeat the run.
            Frames with nothing in them, pixels outside `mask` and under `overlay` are as they were.

        Raises:
            InputError: unusable data or options.
            ModelError: a model is missing or does not fit.
        """
        held = checked_frames(open_frames(data) if isinstance(data, str | Path) else data)
        if gamma is not None and not 0 <= gamma <= 10:
            raise InputError(f"gamma {gamma:g}: between 0 (haze explains nothing) and 10")
        echoes = held.attrs["kind"] in ("rf", "iq")
        choice = MethodChoice(sampler, None, steps)
        choice.check()
        settings = settings_for(
            quality, envelopes=not echoes, guidance=guidance, samples=samples, choice=choice
        )
        priors = self.load(held.attrs["kind"])
        calibration = priors.tissue.card.calibration
        if held.attrs["kind"] == "bmode":
            calibration = calibration.get("bmode", {})
        widening = Widening.of_card(calibration, quality)
        images = _images(held)
        runs = []
        for i, image in enumerate(images):
            form = represent(image.data, range_db, settings.side)
            evidence, beam = _evidence(image.data, form)
            run = _Run(
                image, form, priors, settings, widening, seed, gamma, evidence, beam, store, i
            )
            runs.append(run)
        tell = progress or (lambda *_: None)
        frames = []
        for i, run in enumerate(runs):
            frames.append(run.all(_share(tell, i, len(runs))))
        return self._result(held, runs, frames, priors, settings, quality, seed)

    def _result(
        self,
        held: xr.Dataset,
        runs: list[_Run],
        frames: list[list[dict[str, NDArray[Any]]]],
        priors: _Priors,
        settings: Settings,
        quality: str,
        seed: int,
    ) -> xr.Dataset:
        dims = ("frame", "depth", "lateral")
        hazy = held["frames"].values
        clean, std = hazy.copy(), np.zeros(hazy.shape, np.float32)
        for run, made in zip(runs, frames, strict=True):
            rows, columns = run.image.rows, run.image.columns
            for i, frame in enumerate(made):
                inside = run.mask if run.overlay is None else run.mask & ~run.overlay[i]
                np.copyto(clean[i, rows, columns], frame["frames"], where=inside)
                np.copyto(std[i, rows, columns], frame["std"], where=inside)
        out = held.assign(
            frames=(dims, clean), hazy=(dims, hazy), haze=(dims, hazy - clean), std=(dims, std)
        )
        several = len(runs) > 1
        done = [(r, f) for r, made in zip(runs, frames, strict=True) for f in made if f["done"]]
        empty = [i + 1 for i in range(len(hazy)) if all(_is_empty(r, i) for r in runs)]
        full = [i for i in range(len(hazy)) if i + 1 not in empty]
        power = float(np.sum(np.abs(hazy[full]) ** 2))
        share = float(np.sum(np.abs(hazy[full] - clean[full]) ** 2)) / power if power else 0.0
        told = consistency_attributes(
            [Consistency(float(f["residual"]), int(np.size(f["std"]))) for _, f in done]
        )
        warnings = [*json.loads(told["warnings"])]
        for i, run in enumerate(runs):
            name = f"image {i + 1}" if several else "this scan"
            warnings += [*run.form.remarks, *run.remarks(name)]
        if empty:
            shown = ", ".join(map(str, empty[:6])) + (" ..." if len(empty) > 6 else "")
            warnings.append(f"Frames without any signal were left as they are: {shown}.")
        if share > _MUCH:
            warnings.append(
                f"{share:.0%} of the power was taken away: little of this scan is like the tissue "
                "of the training data, or it is all haze."
            )
        count = max(1, sum(settings.samples * run.pieces for run, _ in done))
        unchanged = all(run.unchanged for run in runs)
        evidence = [r.evidence for r in runs if r.evidence is not None]
        of_dehazed = [
            r.evidence for r in runs if r.evidence is not None and (unchanged or not r.unchanged)
        ]
        told |= {
            "model": f"{priors.tissue.name}, {priors.haze.name}",
            "weights_sha256": priors.tissue.weights_sha256,
            "haze_weights_sha256": priors.haze.weights_sha256,
            "method": "joint posterior sampling of tissue and haze",
            "sampler": "ancestral steps on a Karras grid (rho 4)",
            **{k: v for k, v in asdict(settings).items() if k != "solver"},
            **MethodChoice(settings.solver).stamp(),
            "gamma": max(run.gamma for run in runs),
            "quality": quality,
            "seed": seed,
            "std_spread": runs[0].widening.spread,
            "std_taken": runs[0].widening.taken,
            "std_floor": runs[0].widening.floor,
            "full_scale": runs[0].form.scale,
            "patches": max(run.pieces for run in runs),
            "images": len(runs),
            "unchanged": int(unchanged),
            "nfe": sum(float(f["nfe"]) for _, f in done) / count,
            "nvjp": sum(float(f["nvjp"]) for _, f in done) / count,
            "haze_share": round(share, 4),
            "empty_frames": empty,
            "sciddm_version": sciddm.__version__,
            "warnings": json.dumps(warnings),
        }
        if evidence:
            told["haze_evidence"] = round(max(evidence), 4)
        if "overlay" in held:
            told["overlay_share"] = round(float(held["overlay"].mean()), 5)
        return out.assign_attrs({**told, **_verdict(told, of_dehazed, runs[0].kind).attributes()})


@dataclass(frozen=True)
class _Image:
    """One of the images of a clip: a part of its frames, with its mask."""

    rows: slice
    columns: slice
    data: xr.Dataset


def _images(held: xr.Dataset) -> list[_Image]:
    """The images that a file declares, or the frames as they are.

    Every image of several is judged and dehazed on its own: they differ in gain and view.
    """
    if "region" not in held:
        return [_Image(slice(None), slice(None), held)]
    found = []
    for number in np.unique(held["region"].values):
        if number == 0:
            continue
        mask = held["region"].values == number
        rows, columns = (slice(int(n.min()), int(n.max()) + 1) for n in np.nonzero(mask))
        part = held.drop_vars("region").isel(depth=rows, lateral=columns)
        part = part.assign(mask=(("depth", "lateral"), mask[rows, columns]))
        found.append(_Image(rows, columns, part))
    return found


def _evidence(data: xr.Dataset, form: Representation) -> tuple[float | None, Tensor | None]:
    """The evidence for haze and, of echoes, the beam; None where nothing can be told.

    Echoes are judged by their first frame that holds something (`LocalSpectra.evidence`), pictures
    by some frames of the clip (`picture_evidence`).
    """
    full = [f for f in data["frames"] if np.abs(f.values).max(initial=0) > 0]
    if not full:
        return None, None
    if data.attrs["kind"] in ("rf", "iq"):
        spectra = LocalSpectra(torch.from_numpy(form.to_model(full[0].values)))
        return spectra.evidence(), spectra.beam
    if data.attrs["kind"] == "envelope":
        shown = [_shown(f.values, form.scale) for f in full[:: max(1, len(full) // _LOOKED_AT)]]
    else:
        shown = [f.values for f in full[:: max(1, len(full) // _LOOKED_AT)]]
    mask = data["mask"].values if "mask" in data else np.ones(shown[0].shape, bool)
    return picture_evidence(shown[:_LOOKED_AT], mask), None


def _shown(amplitude: NDArray[Any], top: float) -> NDArray[Any]:
    """An envelope as a picture of 60 dB."""
    return log_compressed(amplitude, top)


def _is_empty(run: _Run, frame: int) -> bool:
    values = np.asarray(run.image.data["frames"][frame].values)
    return not np.abs(values[run.mask]).max(initial=0) > 0


def _share(progress: Progress, part: int, parts: int) -> Progress:
    """The progress of one of several parts of the work."""

    def tell(done: int, total: int, label: str) -> None:
        progress(part * total + done, parts * total, label)

    return tell


def _verdict(told: Mapping[str, Any], evidence: list[float], kind: str) -> Verdict:
    """Does it fit, is it calibrated, is it familiar?

    A result is held against its own scan. Whether the models' intervals hold on a scan cannot be
    seen without its truth, so that is not checked. Familiar are scans that show haze.

    Args:
        told: attributes of the result.
        evidence: of the images that were dehazed; of all where none was.
        kind: "rf" or "envelope".
    """
    fits = Finding()
    ratio = float(told.get("consistency", math.nan))
    if told["unchanged"]:
        fits = Finding("yes", 0.0, None, "The scan is returned unchanged.")
    elif math.isfinite(ratio):
        bad = bool(told.get("contradicts"))
        words = "do not give" if bad else "give"
        text = f"Tissue and haze together {words} the scan: residual {ratio:.2f} times the noise."
        fits = Finding("no" if bad else "yes", ratio, None, text)
    familiar = Finding()
    if evidence:
        limit = _AGAINST[kind]
        value = max(evidence) if told["unchanged"] else min(evidence)
        hazy = value >= limit
        text = f"{'Evidence' if hazy else 'No evidence'} of haze: {value:.3f}, limit {limit:g}."
        answer: Answer = "not checked" if told["unchanged"] else "yes" if hazy else "no"
        familiar = Finding(answer, value, limit, text)
    return Verdict(fits=fits, familiar=familiar)


class _Run:
    """All frames of one image, one after the other.

    Without evidence for haze, and unless gamma is asked for, nothing is sampled: the frames are
    returned as they are.
    """

    def __init__(
        self,
        image: _Image,
        form: Representation,
        priors: _Priors,
        settings: Settings,
        widening: Widening,
        seed: int,
        gamma: float | None,
        evidence: float | None,
        beam: Tensor | None,
        store: Store | None,
        number: int,
    ) -> None:
        held = image.data
        self.image, self.form, self.prior = image, form, placed(priors.prior)
        self.settings, self.widening = settings, widening
        self.seed, self.store, self.number = seed, store, number
        self.kind = "rf" if held.attrs["kind"] in ("rf", "iq") else "envelope"
        self.evidence = evidence
        # A picture that is too small to tell shows no haze either.
        self.against = evidence is None if self.kind == "envelope" else False
        if evidence is not None:
            self.against = evidence < _AGAINST[self.kind]
        self.unchanged = self.against and gamma is None
        self.gamma = gamma if gamma is not None else 0.0 if self.against else 1.0
        mu = float(priors.tissue.representation.get("mu", MU))
        self.mixture: CompandedSum = CompandedEnvelopes(self.gamma, mu)
        if self.kind == "rf":
            self.mixture = CompandedEchoes(self.gamma, mu, beam)
        self.overlay = held["overlay"].values if "overlay" in held else None
        mask = held["mask"].values if "mask" in held else None
        self.mask = np.ones(held["frames"].shape[1:], bool) if mask is None else mask
        self.seen = torch.from_numpy(form.seen_mask(self.mask))
        self.pieces = len(list(patches((self.seen.shape[0], self.seen.shape[1]))))

    def remarks(self, name: str) -> list[str]:
        """What the evidence says of a scan of this name."""
        if self.evidence is None:
            told = self.kind == "envelope" and self.unchanged and self.mask.any()
            return [_UNKNOWN.format(name)] if told else []
        if self.unchanged:
            return [_UNCHANGED[self.kind].format(name, self.evidence)]
        doubt = self.evidence < 0 and self.gamma > 0
        return [_DOUBT[self.kind].format(name, self.evidence)] if doubt else []

    def all(self, progress: Progress) -> list[dict[str, NDArray[Any]]]:
        """What `unfinished` keeps of each frame: frames, std, residual, nfe, nvjp, done."""
        held = self.image.data
        count = held.sizes["frame"]
        per_frame = self.pieces * self.settings.steps
        found: list[dict[str, NDArray[Any]]] = []
        before = None
        last: dict[str, NDArray[Any]] = {}
        for i in range(count):
            place = self.number * count + i
            kept = None if self.store is None or self.unchanged else self.store.load(place)
            if kept is None and found and self._is_repeated(i):
                # A frozen clip does not flicker, and costs nothing.
                kept = {**last, "nfe": np.asarray(0.0), "nvjp": np.asarray(0.0)}
            if kept is None:
                steps = 0

                def tick(i: int = i) -> None:
                    nonlocal steps
                    steps += 1
                    done = i * per_frame + min(steps, per_frame)
                    progress(done, count * per_frame, f"frame {i + 1} of {count}")

                kept = self._one(i, before, tick)
                if self.store is not None and not self.unchanged:
                    self.store.store(place, **kept)
            progress((i + 1) * per_frame, count * per_frame, f"frame {i + 1} of {count}")
            before = torch.from_numpy(kept["state"]).float() if int(kept["done"]) else None
            last = kept
            found.append({k: v for k, v in kept.items() if k != "state"})
        return found

    def _is_repeated(self, number: int) -> bool:
        """Whether a frame and its drawings are those of the frame before."""
        frames = self.image.data["frames"]
        layers = [frames.values] if self.overlay is None else [frames.values, self.overlay]
        return all(np.array_equal(layer[number], layer[number - 1]) for layer in layers)

    def _one(
        self, number: int, before: Tensor | None, tick: Callable[[], None]
    ) -> dict[str, NDArray[Any]]:
        frame = np.asarray(self.image.data["frames"][number].values)
        if self.unchanged or not np.abs(frame[self.mask]).max(initial=0) > 0:
            nothing = {k: np.asarray(0.0) for k in ("residual", "nfe", "nvjp")}
            std = np.zeros(frame.shape, np.float32)
            return {"frames": frame, "std": std, "done": np.asarray(0), **nothing}
        if self.overlay is not None:
            frame = _without(frame, self.overlay[number])
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
        samples = to_numpy(self.mixture.parts(made.state)[0][:, 0])
        echoes = self.kind == "rf"
        tissue, std = estimate(samples, echoes=echoes)
        taken = amplitude - tissue
        clean = self.form.result(frame, amplitude, tissue)
        if self.image.data.attrs["kind"] == "bmode":
            # Curves of screens are unknown, so what may be left is a grey value. Haze only adds:
            # black is black without it too.
            display_std = self.form.spread(std, clean)
            std = np.minimum(self.widening(display_std, np.abs(frame - clean)), 1) * (frame > 0)
        else:
            std = self.widening(std, envelope(taken) if echoes else np.abs(taken))
            std = self.form.spread(std, clean)
        cost: Cost = made.cost
        return {
            "frames": clean,
            "std": std,
            "state": to_numpy(made.state.half()),
            "residual": np.asarray(made.residual),
            "nfe": np.asarray(cost.nfe),
            "nvjp": np.asarray(cost.nvjp),
            "done": np.asarray(1),
        }


def _without(frame: NDArray[Any], overlay: NDArray[np.bool_]) -> NDArray[Any]:
    """A frame whose drawings are filled with what surrounds them."""
    if not overlay.any():
        return frame
    inside = (~overlay).astype(np.float32)
    mean = ndimage.gaussian_filter(frame * inside, _FILL) / np.maximum(
        ndimage.gaussian_filter(inside, _FILL), 1e-6
    )
    return np.where(overlay, mean, frame).astype(frame.dtype)
