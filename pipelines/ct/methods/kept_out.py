"""Views of a scan that a quick first pass is not shown; see ``uncertainty.prediction``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["RATIO_LIMIT", "SKILL_LIMIT", "filled", "kept_views"]

#: Of the ratio: phantoms and slices of training patients had .67 to .88, a body that moved by 1 cm
#: half way 6.9, twice the stated flux 1.21. With many views noise hides what the prior knows, and
#: the skill is near 1.
RATIO_LIMIT, SKILL_LIMIT = 1.15, 1.1

_SHARE, _LEAST = 0.05, 3
_FEWEST = 20  # views of a scan, below which none can be spared


def kept_views(count: int, seed: int) -> Tensor | None:
    """(V,) bool: views to keep out, one of each of so many arcs; None where there are too few.

    No two are neighbours, so that each can be filled in from those beside it.

    Args:
        count: V.
        seed: of the choice.
    """
    if count < _FEWEST:
        return None
    rng = np.random.default_rng(seed)
    arcs = np.array_split(np.arange(count), max(_LEAST, round(_SHARE * count)))
    out = torch.zeros(count, dtype=torch.bool)
    for arc in arcs:
        out[int(rng.choice(arc[:-1]))] = True  # the last of an arc stays, next to the next one
    return out


def filled(p: Tensor, out: Tensor) -> Tensor:
    """Line integrals (V, D) with the mean of both neighbours in place of views that are kept out.

    The first and the last view are taken for neighbours of nothing: the next one stands for them.
    """
    filled = p.clone()
    for view in torch.nonzero(out).flatten().tolist():
        beside = [v for v in (view - 1, view + 1) if 0 <= v < len(p)]
        filled[view] = p[beside].mean(0)
    return filled
