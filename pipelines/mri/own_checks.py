"""Checks of an MRI prior of one's own, on patients that it was not trained on.

Slices of the validation patients give the factor on the standard deviation (split conformal
prediction) and the limit of the shift; those of the test patients then say how good images are,
beside the model that training began with, and how often intervals hold the truth. Scans are
simulated: 8 coils, 30 dB, random lines with up to 16 calibration lines, R = 4 and 8.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sciddm import zoo
from sciddm.metrics.images import psnr
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.engine.pipeline import provenance_of
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.mri.image_simulation import ImageSimulation
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.own_prior.contract import Checks
from sciddm.pipelines.own_prior.prepared import Prepared
from sciddm.pipelines.own_prior.shift_law import shift_entry
from sciddm.pipelines.own_prior.split import Part
from sciddm.posterior import half_width
from sciddm.simulation.mri.scan import simulate_scan, undersample
from sciddm.uncertainty.calibration import conformal_factor, coverage, scores_of
from sciddm.uncertainty.pooled_std import POOLING_PIXELS
from sciddm.uncertainty.std_factor import spread_at
from sciddm.uncertainty.texture import texture_limit
from sciddm.zoo.pretrained import Model

__all__ = ["check"]

_COILS, _SNR_DB, _ACS, _LEVEL = 8, 30.0, 16, 0.9
_ACCELERATIONS = (4, 8)
#: Of a mask: calibration lines, and all lines.
_LEAST_ACS, _LEAST_LINES = 8, 10
_SCANS = 6
_OBJECT = 0.1
_LAW_IMAGES, _LIMIT_IMAGES = 160, 60
_LAYER, _SIGMA = "net.middle_block", 0.3

Label = Literal["own", "start"]
_PARTS: tuple[Part, ...] = ("validate", "test")


@dataclass(frozen=True)
class _Case:
    """One scan with one model at one quality."""

    label: Label
    part: Part
    number: int
    acceleration: int
    quality: Quality

    @property
    def name(self) -> str:
        return "-".join(
            map(str, (self.label, self.part, self.number, self.acceleration, self.quality))
        )


@dataclass(frozen=True)
class _Outcome:
    """What a case gave.

    Attributes:
        scores: |error| over the half width of the interval without factor and without the scan's
            own widening, of each pixel of the object.
        widening: the scan's own, of the standard deviation.
        psnr, zero_filled: dB; data range: the reference's largest value.
        shift: score; NaN where the model has no law.
        fits: the image explains its own measurement; the verdict rejects it otherwise, and neither
            factor nor limit is taken from it.
    """

    scores: NDArray[np.float32]
    widening: float
    psnr: float
    zero_filled: float
    shift: float
    fits: bool = True


def check(checks: Checks) -> dict[str, Any]:
    """The card's calibration, coverage, metrics and shift."""
    model = zoo.from_pretrained(checks.model)
    shift = _law(model, checks.prepared)
    pipelines: dict[Label, MRIReconstruction] = {"own": _pipeline(model, shift, checks.qualities)}
    if checks.start is not None:
        pipelines["start"] = _pipeline(zoo.from_pretrained(checks.start), {}, checks.qualities)
    slices = {part: _slices(checks.prepared, part) for part in _PARTS}
    outcomes: dict[_Case, _Outcome] = {}
    begin = time.monotonic()
    counts = {part: len(values) for part, values in slices.items()}
    for case in _cases(counts, list(pipelines), checks.qualities):
        if outcomes and case.number and time.monotonic() - begin > checks.seconds:
            break
        pipeline = pipelines[case.label]
        key = hashlib.sha256(
            f"{pipeline.provenance} {pipeline.settings(case.quality)} {shift.get('law')}".encode()
        ).hexdigest()[:12]
        path = checks.cache / f"{case.name}-{key}.npz"
        outcome = _kept(path) or _outcome(pipeline, slices[case.part][case.number], case)
        if outcome is None:
            continue
        _keep(path, outcome)
        outcomes[case] = outcome
        checks.progress(
            f"{case.name}: {outcome.psnr:.2f} dB (zero-filled {outcome.zero_filled:.2f})"
        )
    return _parts(outcomes, shift)


def _parts(outcomes: dict[_Case, _Outcome], shift: dict[str, Any]) -> dict[str, Any]:
    """The card's entries, from all cases."""
    scores = [
        o.shift for c, o in outcomes.items() if c.label == "own" and c.part == "validate" and o.fits
    ]
    if shift and np.isfinite(scores).any():
        # Reconstructions of patients that were held out are familiar by definition.
        shift["limit"] = round(max(shift["limit"], float(np.nanmax(scores))), 3)
    calibration: dict[str, Any] = {
        "what": "factor on the samples' standard deviation for 90 % intervals in the object: "
        "fitted on the validation patients, coverage on the test patients; scans whose image does "
        "not fit its own data are left out (rejected)",
        "level": _LEVEL,
    }
    covered: dict[str, Any] = {}
    metrics: dict[str, Any] = {
        "what": f"PSNR dB on slices of the test patients, {_COILS} simulated coils, "
        f"{_SNR_DB:g} dB, random lines"
    }
    for quality in dict.fromkeys(case.quality for case in outcomes):
        own = {
            part: [(c, o) for c, o in outcomes.items() if _is(c, "own", part, quality) and o.fits]
            for part in ("validate", "test")
        }
        if not own["validate"]:
            continue
        factors = _factors(own["validate"])
        entry: dict[str, Any] = {"spread": factors, "pooling_pixels": POOLING_PIXELS}
        inside = [
            coverage(o.scores, spread_at(factors, c.acceleration) * o.widening)
            for c, o in own["test"]
        ]
        if inside:
            entry["coverage_after"] = round(float(np.mean(inside)), 3)
            entry["coverage_by_scan"] = [round(min(inside), 3), round(max(inside), 3)]
            covered[f"90 % interval, in the object, {quality}"] = (
                f"{np.mean(inside):.3f} (cases {min(inside):.3f} to {max(inside):.3f})"
            )
        entry["scans"] = [len(own["validate"]), len(own["test"])]
        entry["rejected"] = sum(
            not o.fits for c, o in outcomes.items() if (c.label, c.quality) == ("own", quality)
        )
        calibration[quality] = entry
        for acceleration in _ACCELERATIONS:
            row = _row(outcomes, quality, acceleration)
            if row:
                metrics[f"R={acceleration} {quality}"] = row
    return {"calibration": calibration, "coverage": covered, "metrics": metrics, "shift": shift}


def _row(outcomes: dict[_Case, _Outcome], quality: str, acceleration: int) -> dict[str, float]:
    """Mean PSNR of the test scans that all of the models have reconstructed."""
    by_label: dict[str, dict[int, _Outcome]] = {}
    for case, outcome in outcomes.items():
        if (case.part, case.quality, case.acceleration) == ("test", quality, acceleration):
            by_label.setdefault(case.label, {})[case.number] = outcome
    if not by_label.get("own"):
        return {}
    common = set.intersection(*(set(numbers) for numbers in by_label.values()))
    if not common:
        return {}
    row = {
        label: round(float(np.mean([values[k].psnr for k in common])), 2)
        for label, values in by_label.items()
    }
    zero = float(np.mean([by_label["own"][k].zero_filled for k in common]))
    return {**row, "zero-filled": round(zero, 2), "scans": len(common)}


def _factors(scans: list[tuple[_Case, _Outcome]]) -> dict[str, float]:
    """The factor of each acceleration, by split conformal prediction."""
    out = {}
    for acceleration in sorted({case.acceleration for case, _ in scans}):
        pooled = np.concatenate([o.scores for c, o in scans if c.acceleration == acceleration])
        factor = conformal_factor(pooled, _LEVEL)
        if np.isfinite(factor):
            out[str(acceleration)] = round(factor, 3)
    return out or {"4": 1.0}


def _is(case: _Case, label: str, part: str, quality: str) -> bool:
    return (case.label, case.part, case.quality) == (label, part, quality)


def _cases(
    counts: dict[Part, int], labels: list[Label], qualities: tuple[Quality, ...]
) -> Iterator[_Case]:
    """All cases, those first that say most."""
    for number in range(max(counts.values())):
        for acceleration, quality in product(_ACCELERATIONS, qualities):
            for part in _PARTS:
                for label in labels:
                    if number < counts[part] and (label == "own" or part == "test"):
                        yield _Case(label, part, number, acceleration, quality)


def _law(model: Model, prepared: Prepared) -> dict[str, Any]:
    """The law of the features of simulated images, with their phase removed."""
    simulation = ImageSimulation(0, demodulated=1.0, off_resonance=0.2, variety=0.3)
    counts: dict[Part, int] = {"train": _LAW_IMAGES, "validate": _LIMIT_IMAGES}
    images = {}
    for part, count in counts.items():
        rng = np.random.default_rng([count, 1])
        values = [image for entry in prepared.of(part) for image in prepared.values(entry)]
        images[part] = [
            simulation.image(torch.from_numpy(np.array(values[k % len(values)])), rng)[None, None]
            for k in range(count)
        ]
    entry = shift_entry(
        model.denoiser, images["train"], images["validate"], layer=_LAYER, sigma=_SIGMA
    )
    every = [image[0, 0].abs().numpy() for part in images.values() for image in part]
    return {**entry, "texture_limit": texture_limit(every)} if entry else {}


def _pipeline(
    model: Model, shift: dict[str, Any], qualities: tuple[Quality, ...]
) -> MRIReconstruction:
    """Without a factor: what is to be calibrated."""
    plain: dict[str, Any] = {
        q: {"spread": 1.0, "pooling_pixels": POOLING_PIXELS} for q in qualities
    }
    return MRIReconstruction(model.denoiser, provenance_of(model), plain, shift)


def _slices(prepared: Prepared, part: Part) -> list[NDArray[np.float32]]:
    """At most ``_SCANS`` slices (y, x) of a part, one of each patient before a second of any."""
    by_group: dict[str, list[NDArray[np.float32]]] = {}
    for entry in prepared.of(part):
        by_group.setdefault(entry.group, []).extend(np.array(prepared.values(entry)))
    out: list[NDArray[np.float32]] = []
    count = max((len(images) for images in by_group.values()), default=0)
    for turn in range(count):
        out += [
            images[_middle_first(turn, len(images))]
            for images in by_group.values()
            if turn < len(images)
        ]
    return out[:_SCANS]


def _middle_first(turn: int, count: int) -> int:
    """The ``turn``-th of ``count`` places, from the middle outwards."""
    step = (turn + 1) // 2
    return (count // 2 + (step if turn % 2 else -step)) % count


def _outcome(
    pipeline: MRIReconstruction, image: NDArray[np.float32], case: _Case
) -> _Outcome | None:
    """Reconstructs a scan; None where the matrix is too small for its mask."""
    seed = 100 * case.number + case.acceleration + (50 if case.part == "test" else 0)
    full = simulate_scan(image, _COILS, snr_db=_SNR_DB, seed=seed)
    budget = round(image.shape[0] / case.acceleration)
    if budget < _LEAST_LINES:
        return None
    lines = min(_ACS, max(_LEAST_ACS, round(0.7 * budget)))
    mask = make_mask("random", image.shape, case.acceleration, lines, seed=seed)
    result = pipeline(undersample(full, mask), quality=case.quality, seed=0)
    attrs, reference = result.attrs, full["reference"].values[0]
    estimate = result["reconstruction"].values[0]
    widening = float(attrs["std_widening"])
    half = half_width(attrs["samples"], _LEVEL) * result["std"].values[0] / widening
    inside = reference > _OBJECT * reference.max()
    peak = float(reference.max())
    return _Outcome(
        scores_of((reference - estimate)[inside], half[inside]).astype(np.float32),
        widening,
        psnr(estimate, reference, peak),
        psnr(result["zero_filled"].values[0], reference, peak),
        float(attrs.get("shift", np.nan)),
        attrs["verdict_fits"] != "no",
    )


def _keep(path: Path, outcome: _Outcome) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    np.savez(draft, **vars(outcome))
    draft.replace(path)


def _kept(path: Path) -> _Outcome | None:
    try:
        with np.load(path) as held:
            numbers = {k: float(held[k]) for k in ("widening", "psnr", "zero_filled", "shift")}
            return _Outcome(scores=held["scores"], fits=bool(held["fits"]), **numbers)
    except (OSError, ValueError, KeyError):
        return None
