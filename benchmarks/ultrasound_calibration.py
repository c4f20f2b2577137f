"""How wide ultrasound's standard deviations have to be, and whether they hold what they promise.

    python -m benchmarks.ultrasound_calibration [--kinds rf envelope] [--qualities fast balanced]
        [--write]

The tuning scans of the ultrasound benchmark are dehazed, as echoes and as envelopes on an image's
coarser grid. Of a few shares c of what was taken away (`pipelines/ultrasound/estimate.py`) the one
is chosen under which the errors of the amplitude are likeliest, as Laplace variables as wide as
sqrt(std^2 + (c taken)^2) times one factor for all; q is that factor with which 90 % lie within
their 90 % interval (split conformal). Prints the coverage of the test scans before and after, and
the correlation of the standard deviation with what was taken. --write puts both numbers into the
card of the tissue model.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.ultrasound import CACHE
from benchmarks.ultrasound_problems import UltrasoundProblem, build, load_problems
from sciddm import zoo
from sciddm.physics.ultrasound.estimate import Widening
from sciddm.physics.ultrasound.waves import envelope
from sciddm.pipelines.ultrasound.pipeline import DEFAULTS, UltrasoundDehazing
from sciddm.uncertainty.calibration import conformal_factor, coverage, scores_of
from sciddm.zoo.folder import CARD

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
LEVELS = {0.5: 0.6745, 0.9: 1.6449, 0.95: 1.96}  # half widths in standard deviations
SAMPLES_PER_ROW, BLUR = 3, 0.7  # of an image, of the echoes
ENTRIES = 4000  # of each scan

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """Entries of a scan at random, in units of its root mean square: error of the amplitude,
    standard deviation of the samples, amplitude of what was taken."""

    error: Real
    std: Real
    taken: Real


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=["rf", "envelope"])
    parser.add_argument("--qualities", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--write", action="store_true", help="into the model's card")
    args = parser.parse_args()
    folder = CACHE / "ultrasound" / "problems"
    build(folder)
    scans = {role: load_problems(folder, role) for role in ("tune", "test")}
    pipeline = UltrasoundDehazing()
    for kind in args.kinds:
        pipeline.load(kind).tissue.card.calibration.clear()
        found = {}
        for quality in args.qualities:
            tune, test = (
                [drawn(pipeline, p, kind, quality) for p in scans[role]] for role in scans
            )
            fitted = fit(tune)
            found[quality] = {"spread": round(fitted.spread, 2), "taken": fitted.taken}
            print(f"{kind}, {quality}: {found[quality]}", flush=True)
            print(f"    before: {told(test, Widening())}", flush=True)
            print(f"    after:  {told(test, fitted)}", flush=True)
        if args.write:
            _write(DEFAULTS[kind][0], found)


def fit(scans: list[Drawn]) -> Widening:
    """c of the likeliest errors, and q."""
    error, std, taken = (np.concatenate([getattr(d, k) for d in scans]) for k in vars(scans[0]))
    likelihood = {}
    for share in SHARES:
        width = np.hypot(std, share * taken) + 1e-9
        # Of Laplace variables of scale k width, with the k that is likeliest.
        likelihood[share] = -np.log(width).mean() - np.log((error / width).mean())
    best = max(likelihood, key=lambda share: likelihood[share])
    scores = scores_of(error, LEVELS[0.9] * np.hypot(std, best * taken))
    return Widening(conformal_factor(scores, 0.9), best)


def told(scans: list[Drawn], widening: Widening) -> str:
    """Coverage over all scans, of the scan with least and with most, and the correlation."""
    error, std, taken = (np.concatenate([getattr(d, k) for d in scans]) for k in vars(scans[0]))
    wide = widening(std, taken)
    parts = [
        f"{level:.0%} {coverage(scores_of(error, half * wide)):.3f}"
        for level, half in LEVELS.items()
    ]
    each = [coverage(scores_of(d.error, LEVELS[0.9] * widening(d.std, d.taken))) for d in scans]
    related = np.corrcoef(wide, taken)[0, 1]
    return (
        f"coverage {', '.join(parts)}; 90 % by scan {min(each):.2f} to {max(each):.2f}; "
        f"correlation with what was taken {related:.2f}"
    )


def drawn(pipeline: UltrasoundDehazing, p: UltrasoundProblem, kind: str, quality: str) -> Drawn:
    """What the pipeline makes of a scan, beside the truth."""
    scan, truth = p.dataset(), envelope(p.clean)
    if kind == "envelope":
        truth = _image(p.clean)
        scan = xr.Dataset(
            {"frames": (("frame", "depth", "lateral"), _image(p.hazy)[None])},
            attrs={**scan.attrs, "kind": "envelope"},
        )
    out = pipeline(scan, quality=quality, gamma=1.0, seed=0)
    clean, std, taken = (out[k].values[0] for k in ("frames", "std", "haze"))
    amplitudes = [
        np.abs((envelope(clean) if kind == "rf" else clean) - truth),
        std,
        envelope(taken) if kind == "rf" else np.abs(taken),
    ]
    unit = float(np.sqrt(np.mean(np.square(p.hazy if kind == "rf" else _image(p.hazy)))))
    chosen = np.random.default_rng(0).choice(truth.size, ENTRIES, replace=False)
    return Drawn(*(a.ravel()[chosen].astype(np.float64) / unit for a in amplitudes))


def _image(rf: NDArray[np.floating]) -> NDArray[np.float32]:
    """The envelope on the grid of an image."""
    smooth = ndimage.gaussian_filter1d(envelope(rf), BLUR, axis=0)
    return smooth[1::SAMPLES_PER_ROW].astype(np.float32)


def _write(name: str, found: dict[str, dict[str, float]]) -> None:
    path = zoo.find(name) / CARD
    card = json.loads(path.read_text())
    known = {**card.get("calibration", {}), **found}
    path.write_text(json.dumps({**card, "calibration": known}, indent=2) + "\n")


if __name__ == "__main__":
    main()
