"""The factors ``spread`` of the MRI qualities: which one makes the 90 % interval hold 90 %.

    python -m benchmarks.calibration [--model mri-brain] [--qualities fast balanced best]

Reconstructs the tuning slices of the MRI benchmark (never its test slices), and finds for each
quality the factor on the samples' standard deviation at which the interval of ``half_width``
covers 90 % of the pixels of the head, in the mean over slices. The figures go into ``QUALITIES`` by
hand.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.mri import CACHE
from benchmarks.ours import LEVEL, dataset_of
from benchmarks.problems import Problem, build, load_problems
from sciddm.pipelines.mri.pipeline import QUALITIES, MRIReconstruction
from sciddm.posterior import half_width


def ratios(pipeline: MRIReconstruction, p: Problem, quality: str) -> np.ndarray:
    """|error| over the interval's half width without any factor, for each pixel of the head."""
    out = pipeline(dataset_of(p), quality=quality, seed=0)  # type: ignore[arg-type]
    std = out["std"].values[0] / out.attrs["spread"]
    error = np.abs(out["reconstruction"].values[0] - p.reference)
    return (error / (half_width(out.attrs["samples"], LEVEL) * std))[p.head]


def factor(cases: list[np.ndarray]) -> float:
    """The factor with mean coverage LEVEL, by bisection of ln factor."""
    low, high = np.log(0.1), np.log(10.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        covered = np.mean([(r <= np.exp(middle)).mean() for r in cases])
        low, high = (middle, high) if covered < LEVEL else (low, middle)
    return float(np.exp(0.5 * (low + high)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mri-brain")
    parser.add_argument("--qualities", nargs="+", default=list(QUALITIES))
    args = parser.parse_args()
    problems = CACHE / "problems"
    build(problems)
    pipeline = MRIReconstruction.from_pretrained(args.model)
    for quality in args.qualities:
        cases = [ratios(pipeline, p, quality) for p in load_problems(problems, "tune")]
        f = factor(cases)
        covered = [float((r <= f).mean()) for r in cases]
        print(
            f"{quality}: spread {f:.2f}; coverage of the cases {min(covered):.3f} to "
            f"{max(covered):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
