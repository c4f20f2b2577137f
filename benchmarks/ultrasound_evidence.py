"""The evidence of haze in pictures: how its numbers are found, and how often it is right.

    python -m benchmarks.ultrasound_evidence [--fit] [--scenes 800] [--first 0]

Draws pictures of many screens (`simulation.ultrasound.pictures`), half of them without haze. With
--fit a logistic model of their features is fitted (ridge 30, in units of each feature's standard
deviation) and its numbers are printed as `physics/ultrasound/picture_evidence.py` holds them; the
limit is what 10 % of the pictures without haze exceed in the view where most do, by five-fold
cross-validation. Otherwise the
shares of pictures with and without haze that the stored numbers call hazy are printed, by the level
of the haze. Use seeds of other scenes (--first) than those of the fit.
"""

from __future__ import annotations

import argparse
import pprint

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from sciddm.physics.ultrasound import picture_evidence
from sciddm.simulation.ultrasound.pictures import draw_curve, draw_scene

HAZE_DB = (-32.0, -14.0)
FALSE_ALARMS = 0.1  # of the worst view
RIDGE, FAR = 30.0, 3.0
FOLDS = 5

Real = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--first", type=int, default=0, help="seed of the first scene")
    args = parser.parse_args()
    rows, levels, views = drawn(args.first, args.scenes)
    hazy = np.isfinite(levels)
    if args.fit:
        mean, std = rows.mean(0), rows.std(0)
        x = np.clip((rows - mean) / std, -FAR, FAR)
        held = np.zeros(len(x))
        fold = np.arange(len(x)) // 2 % FOLDS
        for k in range(FOLDS):
            w = fitted(x[fold != k], hazy[fold != k])
            held[fold == k] = x[fold == k] @ w[:-1] + w[-1]
        limit = max(
            float(np.quantile(held[~hazy & (views == v)], 1 - FALSE_ALARMS))
            for v in np.unique(views[~hazy])
        )
        w = fitted(x, hazy)
        names = ("_MEAN", "_STD", "_WEIGHTS")
        for name, values in zip(names, (mean, std, w[:-1]), strict=True):
            print(f"{name} = {pprint.pformat([round(float(v), 4) for v in values], compact=True)}")
        print(f"_OFFSET = {w[-1]:.4f}\n_LIMIT = {limit:.4f}")
        scores = held - limit
    else:
        scores = np.array([picture_evidence.judged([r]) for r in rows])
    print(f"without haze: {(scores[~hazy] > 0).mean():.3f} of {(~hazy).sum()} are called hazy")
    for low, high in ((-32, -26), (-26, -20), (-20, -14)):
        group = hazy & (levels >= low) & (levels < high)
        share = (scores[group] > 0).mean()
        print(f"haze of {low} to {high} dB: {share:.3f} of {group.sum()} are called hazy")


def drawn(first: int, count: int) -> tuple[Real, Real, NDArray[np.str_]]:
    """Features (picture, feature), levels of haze, dB, NaN without haze, and views."""
    rows, levels, views = [], [], []
    for seed in range(first, first + count):
        rng = np.random.default_rng([seed, 2**22])
        level = float(rng.uniform(*HAZE_DB)) if seed % 2 else None
        scene = draw_scene(rng, level)
        found = picture_evidence.features(draw_curve(rng)(scene.hazy_db), scene.mask)
        if found is not None:
            rows.append(found)
            levels.append(np.nan if level is None else level)
            views.append(scene.view)
    return np.array(rows), np.array(levels), np.array(views)


def fitted(x: Real, hazy: NDArray[np.bool_]) -> Real:
    """Weights and offset of a logistic model with the ridge."""
    design = np.c_[x, np.ones(len(x))]
    sign = np.where(hazy, 1.0, -1.0)

    def loss(w: Real) -> tuple[float, Real]:
        margin = sign * (design @ w)
        slope = -(design * (sign / (1 + np.exp(np.clip(margin, -500, 500))))[:, None]).sum(0)
        ridge = np.r_[w[:-1], 0.0]
        value = np.logaddexp(0, -margin).sum() + 0.5 * RIDGE * float(ridge @ ridge)
        return float(value), slope + RIDGE * ridge

    return np.asarray(optimize.minimize(loss, np.zeros(design.shape[1]), jac=True).x)


if __name__ == "__main__":
    main()
