"""What is said of a reconstruction: does it fit the data, is it calibrated, is it familiar?"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from sciddm.physics import Measurement, as_lines
from sciddm.physics.best_fit import best_fit
from sciddm.physics.fourier import resized
from sciddm.physics.mri.smooth_phase import phase_vortices
from sciddm.posterior import Consistency, Posterior
from sciddm.uncertainty.consistency import consistency_attributes, fit_finding
from sciddm.uncertainty.shift_score import ShiftScore
from sciddm.uncertainty.texture import texture_finding
from sciddm.uncertainty.verdict import Finding, Verdict

__all__ = ["consistency_of", "judgement", "noise_remark", "overstated_remark", "vortex_remark"]

#: Factor between the noise level that is used and those that the scan itself shows, from which it
#: is named; and factor within which two of those agree, the lowest two with a little signal in one.
_NOISE_FACTOR, _AGREE, _LOWEST_AGREE = 1.5, 1.2, 1.3
#: Times below the least residual of the right noise level, from which the level is named.
_BELOW = 1.35
#: Part of the largest magnitude from which a pixel of an image counts as object.
_OBJECT = 0.2


def consistency_of(m: Measurement, posterior: Posterior, mask: Tensor) -> Consistency:
    """Residual of the samples, beside the least that any image leaves.

    Args:
        m: one slice.
        posterior: its samples (K, 1, 1, y, x).
        mask: (ky, kx) or (shot, sample) bool, entries that were measured.
    """
    seen = resized(mask, (m.y.shape[-2], m.y.shape[-1]))
    told = posterior.consistency(m, seen)
    # Up to the tolerance the floor decides nothing; beyond it, whether the noise is reached does.
    enough = 1 + told.tolerance if told.ratio <= 1 + told.tolerance else 1.0
    fit = best_fit(as_lines(m), posterior.mean[0], enough**2 * told.measured)
    floor = min(math.sqrt(fit.misfit / max(told.measured, 1)), told.ratio)
    return Consistency(told.ratio, told.measured, floor, told.tolerance)


def noise_remark(level: float, own: Sequence[float]) -> str | None:
    """A sentence where a noise level is far from all that the scan itself shows.

    Args:
        level: sqrt(E|n|^2) of a sample, mean over the coils, as it is used.
        own: levels that the scan's parts show; one alone is no witness.
    """
    known = sorted(value for value in own if value > 0)
    # Signal only adds: the lowest two that agree are believed, as when the level is estimated.
    pairs = list(pairwise(known))
    pair = next((p for p in pairs if p[1] < _AGREE * p[0]), None)
    if pairs and pairs[0][1] < _LOWEST_AGREE * pairs[0][0]:
        pair = pairs[0]
    if level <= 0 or pair is None:
        return None
    # What lies above them holds signal, and is no witness for a level that is too high.
    if any(
        1 / _NOISE_FACTOR < level / value < _NOISE_FACTOR for value in known if value <= pair[1]
    ):
        return None
    shown = math.sqrt(pair[0] * pair[1])
    return (
        f"The noise level is {level / shown:.2g} times what the scan itself shows ({level:.3g} "
        f"against {shown:.3g}): check it, for the standard deviation and the weight of the data "
        "follow it."
    )


def overstated_remark(found: Sequence[Consistency], unknowns: Sequence[int]) -> str | None:
    """A sentence where images are nearer to their data than the noise lets any image be.

    Of M measured samples an image of P pixels can fit the noise of P: with noise of the right level
    every image leaves sqrt(1 - P / M) of it on average, whatever is known of the image.

    Args:
        found: residuals of the slices.
        unknowns: P of each, pixels with coil sensitivities.
    """
    ratios = [
        math.sqrt(max(1 - p / max(c.measured, 1), 0.0)) / max(c.ratio, 1e-9)
        for c, p in zip(found, unknowns, strict=True)
    ]
    usual = float(np.median(ratios)) if ratios else 0.0
    if usual < _BELOW:
        return None
    return (
        f"The noise level is overstated, at least {usual:.2g} times: the image is nearer to its "
        "data than noise of that level lets any image be. Check it, for the standard deviation and "
        "the weight of the data follow it."
    )


def vortex_remark(maps: Tensor, images: Sequence[Tensor]) -> str | None:
    """A sentence where maps that came with a scan have a phase vortex inside the object.

    Args:
        maps: (slice, coil, y, x).
        images: (y, x) of each slice, which show where the object is.
    """
    vortices = 0
    for own, image in zip(maps, images, strict=True):
        inside = (image.abs() > _OBJECT * image.abs().max()) & (own.abs().sum(0) > 0)
        vortices += int(np.abs(phase_vortices(own, inside)).sum())
    if not vortices:
        return None
    return (
        f"The maps have {vortices} phase vortices inside the object, where their phase turns by "
        "2 pi about a pixel: an image that is brought to another grid is dark there. Estimate the "
        "maps anew, or align their phase."
    )


def judgement(
    consistencies: Sequence[Consistency],
    reasons: Sequence[str],
    calibrated: Finding,
    shift: ShiftScore | None,
    scores: Sequence[float],
    remarks: Sequence[str] = (),
    textures: Sequence[float | None] = (),
    texture_limit: float = 0.0,
    doubt: str | None = None,
    motion: str | None = None,
) -> dict[str, Any]:
    """Attributes of a result: the verdict with its figures, and all warnings.

    Args:
        consistencies: of every slice.
        reasons: why the images do not fit whatever their residuals: see ``noise_remark`` and
            ``step_motion.step_remark``.
        calibrated: whether lines that were kept out were predicted.
        shift: the model's score of distribution shift, if it has one.
        scores: of every slice, by it.
        remarks: other warnings.
        textures: of every slice, and the least of the training data; see ``texture_finding``.
        texture_limit: likewise.
        doubt: why the noise level may be wrong; residuals are in units of it, and a fit by them is
            no "yes".
        motion: why motion was not looked for, if it was not.
    """
    fits = fit_finding(consistencies, reasons)
    if doubt is not None and fits.answer == "yes":
        fits = replace(fits, answer="not checked", sentence=doubt)
    if motion is not None and fits.answer == "yes":
        fits = replace(fits, sentence=f"{fits.sentence} {motion}")
    attrs = consistency_attributes(consistencies)
    familiar = Finding()
    if shift is not None:
        familiar = texture_finding(shift.finding(scores), textures, texture_limit)
        attrs |= shift.attributes(scores)[0]
    verdict = Verdict(fits, calibrated, familiar)
    warnings = [*verdict.warnings, *([] if doubt is None else [doubt]), *remarks]
    return {**attrs, **verdict.attributes(), "warnings": json.dumps(warnings)}
