"""The temperature that makes a model's probabilities come true."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sciddm.pipelines.petct.pipeline import tempered

__all__ = ["fit_temperature"]

_LOWEST, _HIGHEST = 0.2, 10.0


def fit_temperature(probability: Iterable[NDArray[Any]], truth: Iterable[NDArray[Any]]) -> float:
    """T of least cross-entropy of sigmoid(logit(p) / T), voxels of all studies alike.

    Guo et al., On calibration of modern neural networks, 2017, section 4.

    Args:
        probability: of the studies, as the model gives them with T = 1. Not those it was trained
            on: there it is surer than anywhere else.
        truth: their masks.
    """
    p = np.concatenate([np.asarray(v, np.float64).ravel() for v in probability])
    m = np.concatenate([np.asarray(v).ravel() > 0 for v in truth])

    def cost(log_t: float) -> float:
        q = tempered(p, math.exp(log_t))
        return float(-np.where(m, np.log(q), np.log1p(-q)).mean())

    bounds = (math.log(_LOWEST), math.log(_HIGHEST))
    found: Any = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(math.exp(cast(Any, found).x))
