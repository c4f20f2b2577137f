"""What a result says of its agreement with its measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sciddm.posterior import Consistency
from sciddm.uncertainty.verdict import Answer, Finding

__all__ = ["consistency_attributes", "fit_finding"]


def consistency_attributes(
    found: Sequence[Consistency], remarks: Sequence[str] = ()
) -> dict[str, Any]:
    """Attributes over all slices of a result, in units of the noise, and plain warnings.

    consistency (root mean square), consistency_worst, consistency_without_prior (mean),
    contradicts (0 or 1), warnings (a list as JSON); the last alone if nothing was found.

    Args:
        found: of each slice.
        remarks: other warnings.
    """
    warnings = [*remarks]
    if not found:
        return {"warnings": json.dumps(warnings)}
    ratios = np.array([c.ratio for c in found])
    worst = max(found, key=lambda c: (c.contradicts, c.ratio))
    if worst.contradicts or worst.model_fails:
        where = "" if len(found) == 1 else f" (slice {found.index(worst) + 1})"
        warnings.append(f"{worst.verdict}{where}")
    return {
        "consistency": round(float(np.sqrt((ratios**2).mean())), 4),
        "consistency_worst": round(float(ratios.max()), 4),
        "consistency_without_prior": round(float(np.mean([c.floor for c in found])), 4),
        "contradicts": int(worst.contradicts),
        "warnings": json.dumps(warnings),
    }


def fit_finding(found: Sequence[Consistency], remarks: Sequence[str] = ()) -> Finding:
    """Whether the estimates fit their own measurements: the worst slice decides.

    Args:
        found: of each slice.
        remarks: reasons to answer "no" whatever the residuals are, such as a wrong noise level.
    """
    if not found:
        return Finding("no", None, None, " ".join(remarks)) if remarks else Finding()
    worst = max(found, key=lambda c: (c.contradicts, c.model_fails, c.ratio))
    fails = worst.contradicts or worst.model_fails
    where = "" if len(found) == 1 or not fails else f" (slice {found.index(worst) + 1})"
    sentences = [*([f"{worst.verdict}{where}"] if fails or not remarks else []), *remarks]
    answer: Answer = "no" if fails or remarks else "yes"
    return Finding(answer, worst.ratio, 1 + worst.tolerance, " ".join(sentences))
