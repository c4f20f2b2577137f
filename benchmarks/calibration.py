"""How wide the intervals of the MRI posterior must be to hold what they promise.

    python -m benchmarks.calibration [--model mri-brain] [--qualities fast balanced best] [--write]

Reconstructs simulated scans of patient 09 (R = 4 and 8) and finds for each quality and acceleration
the factor on the samples' standard deviation at which the 90 % interval holds 90 % of the pixels of
the head, by split conformal prediction (``uncertainty.calibration``); the pixels of all scans of an
acceleration count alike. Then the coverage before and after on scans of patient 19, which no factor
has seen. ``--write`` puts both into the model's card, from which reconstructions take the factors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ours import LEVEL
from benchmarks.problems import Problem
from benchmarks.validation_scans import FIT, HELD_OUT, cache_of, drawn, problems_of
from sciddm import zoo
from sciddm.denoiser import NetworkDenoiser
from sciddm.pipelines.mri.pipeline import QUALITIES
from sciddm.pipelines.mri.settings import settings_for
from sciddm.posterior import half_width
from sciddm.uncertainty.calibration import conformal_factor, coverage, scores_of
from sciddm.uncertainty.pooled_std import POOLING_PIXELS
from sciddm.zoo.folder import CARD


def scores(denoiser: NetworkDenoiser, p: Problem, quality: str, cache: Path) -> np.ndarray:
    """|error| over the interval's half width without any factor, for each pixel of the head."""
    settings = settings_for(denoiser, quality)
    d = drawn(denoiser, p, settings, cache)
    half = half_width(settings.samples, LEVEL) * d.std
    return scores_of((d.reference - d.image)[d.head], half[d.head])


Scored = Sequence[tuple[int, np.ndarray]]  # acceleration, scores of the pixels


def calibrate(fit: Scored, held_out: Scored) -> dict[str, Any]:
    """The factors, and coverages of held-out scans before and after, pooled and by scan."""
    factors = {}
    for r in sorted({r for r, _ in fit}):
        pooled = np.concatenate([s for acceleration, s in fit if acceleration == r])
        factors[r] = round(conformal_factor(pooled, LEVEL), 3)
    each = [coverage(s, factors[r]) for r, s in held_out]
    return {
        "spread": {str(r): factor for r, factor in factors.items()},
        "pooling_pixels": POOLING_PIXELS,
        "coverage_before": round(coverage(np.concatenate([s for _, s in held_out])), 3),
        "coverage_after": round(coverage(np.concatenate([s / factors[r] for r, s in held_out])), 3),
        "coverage_by_scan": [round(min(each), 3), round(max(each), 3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mri-brain")
    parser.add_argument("--qualities", nargs="+", default=list(QUALITIES))
    parser.add_argument("--every", type=int, default=1, help="2: of every second slice only")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    args = parser.parse_args()
    model = zoo.from_pretrained(args.model)
    denoiser = model.denoiser
    fit, held_out = problems_of(FIT[:: args.every]), problems_of(HELD_OUT[:: args.every])
    found: dict[str, Any] = {}
    for quality in args.qualities:
        cache = cache_of(model, settings_for(denoiser, quality))
        cases = [
            [(p.info["acceleration"], scores(denoiser, p, quality, cache)) for p in part]
            for part in (fit, held_out)
        ]
        found[quality] = calibrate(*cases) | {"scans": [len(part) for part in cases]}
        print(quality, json.dumps(found[quality]), flush=True)
        for p, (r, s) in zip((*fit, *held_out), cases[0] + cases[1], strict=True):
            after = coverage(s, found[quality]["spread"][str(r)])
            print(f"  {p.info['name']}: {coverage(s):.3f} -> {after:.3f}", flush=True)
    if args.write:
        path = zoo.find(args.model) / CARD
        card = json.loads(path.read_text())
        kept = card.get("calibration", {})
        card["calibration"] = {
            **kept,
            "what": "factor on the samples' standard deviation for 90 % intervals in the head: "
            "fitted on patient 09 (FLAIR) for R = 4 and 8, coverage on patient 19 (FLAIR, T1, T2)",
            "level": LEVEL,
            **found,
        }
        path.write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
