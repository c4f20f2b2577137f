"""Time grids: decreasing times from the start of sampling to its end."""

from __future__ import annotations

import math

from sciddm.process import Process

__all__ = ["karras", "log_snr", "uniform"]


def uniform(
    process: Process, n: int, start: float | None = None, stop: float | None = None
) -> list[float]:
    """n + 1 times, equally spaced from ``start`` (t_max) down to ``stop`` (t_min)."""
    first = process.t_max if start is None else start
    last = process.t_min if stop is None else stop
    return [first + (last - first) * i / n for i in range(n + 1)]


def karras(
    process: Process,
    n: int,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    rho: float = 7.0,
) -> list[float]:
    """n + 1 times whose sigma = s/a follow (hi^(1/rho) + i/n (lo^(1/rho) - hi^(1/rho)))^rho.

    Karras et al. 2022, eq. 5. Bounds are those of the process where not given.
    """
    hi, lo = _bounds(process, sigma_max, sigma_min)
    levels = [
        (hi ** (1 / rho) + i / n * (lo ** (1 / rho) - hi ** (1 / rho))) ** rho for i in range(n + 1)
    ]
    return [process.time(level) for level in levels]


def log_snr(
    process: Process, n: int, sigma_max: float | None = None, sigma_min: float | None = None
) -> list[float]:
    """n + 1 times with ln(a/s) equally spaced. Lu et al., DPM-Solver, 2022, section 3.4."""
    hi, lo = _bounds(process, sigma_max, sigma_min)
    step = (math.log(lo) - math.log(hi)) / n
    return [process.time(math.exp(math.log(hi) + i * step)) for i in range(n + 1)]


def _bounds(process: Process, hi: float | None, lo: float | None) -> tuple[float, float]:
    hi = float(process.sigma(process.t_max)) if hi is None else hi
    lo = float(process.sigma(process.t_min)) if lo is None else lo
    if not 0 < lo < hi:
        raise ValueError(f"noise levels must satisfy 0 < {lo} < {hi}")
    return hi, lo
