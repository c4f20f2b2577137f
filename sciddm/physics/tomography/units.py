"""Hounsfield units and linear attenuation."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["MU_WATER", "to_attenuation", "to_hu"]

#: Attenuation of water in 1/mm at about 70 keV, the effective energy of a 120 kV spectrum.
MU_WATER = 0.02

Values = TypeVar("Values", float, Tensor, NDArray[np.floating])


def to_attenuation(hu: Values, mu_water: float = MU_WATER) -> Values:
    """mu = mu_water (HU/1000 + 1), in 1/mm: air (-1000 HU) is 0, water (0 HU) mu_water."""
    return mu_water * (hu / 1000 + 1)


def to_hu(mu: Values, mu_water: float = MU_WATER) -> Values:
    """HU = 1000 (mu/mu_water - 1), the inverse of ``to_attenuation``."""
    return 1000 * (mu / mu_water - 1)
