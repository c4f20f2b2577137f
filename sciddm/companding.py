"""mu-law companding: a signal of large dynamic range on a scale where all of it can be seen."""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["MU", "compand", "compand_slope", "expand_companded"]

#: The value of ITU-T G.711, and of the published dehazing of ultrasound.
MU = 255.0


def compand(x: Tensor, mu: float = MU) -> Tensor:
    """C(x) = sgn(x) ln(1 + mu |x|) / ln(1 + mu); maps [-1, 1] onto itself. ITU-T G.711."""
    return x.sign() * (mu * x.abs()).log1p() / math.log1p(mu)


def expand_companded(c: Tensor, mu: float = MU) -> Tensor:
    """C^-1(c) = sgn(c) ((1 + mu)^|c| - 1) / mu."""
    return c.sign() * (c.abs() * math.log1p(mu)).expm1() / mu


def compand_slope(x: Tensor, mu: float = MU) -> Tensor:
    """C'(x) = mu / (ln(1 + mu) (1 + mu |x|)), also at 0, where C is smooth."""
    return mu / (math.log1p(mu) * (1 + mu * x.abs()))
