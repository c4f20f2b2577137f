"""When the wave of a transmission passes a point, and which points it reaches.

Three kinds of wave, told apart by the signed distance d of their source from the origin, along the
direction (cos a, sin a) in (z, x):

    plane       d infinite   tau = t_0 + (z cos a + x sin a) / c
    diverging   d < 0        tau = t_0 + (|p - s| - |d|) / c
    focused     d > 0        tau = t_0 + (d + sgn((p - s) . n) |p - s|) / c

with s = d (cos a, sin a) the source (the focus of a focused wave), n the beam's direction and t_0
the time at which the wave passes the origin of the probe. Before its focus a focused wave
converges, beyond it diverges. Jensen et al., *Synthetic aperture ultrasound imaging*, 2006, eq. 4;
Rodriguez-Molares et al., *The UltraSound ToolBox*, 2017, for the sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["TransmitWave"]

_PLANE = 100.0  # apertures from which a source makes a plane wave


@dataclass(frozen=True)
class TransmitWave:
    """One transmission.

    Attributes:
        angle: a, rad, of the direction from the origin to the source or focus; for a diverging
            wave, of the direction in which it travels.
        distance: d, m: positive to a focus, negative to a source behind the probe, infinite for a
            plane wave.
        delay: t_0, s.
        origin: (z, x), m, where the beam begins.
        aperture: first and last position of the active elements, m; None for a probe without
            bounds. It bounds what a focused or diverging wave reaches.
    """

    angle: float
    distance: float = math.inf
    delay: float = 0.0
    origin: tuple[float, float] = (0.0, 0.0)
    aperture: tuple[float, float] | None = None

    @property
    def source(self) -> tuple[float, float]:
        """s = (z, x), m; infinite for a plane wave."""
        away = self.distance
        return (
            self.origin[0] + away * math.cos(self.angle),
            self.origin[1] + away * math.sin(self.angle),
        )

    def arrival(self, z: Tensor, x: Tensor, c: float) -> Tensor:
        """tau, s, at points (z, x), m."""
        dz, dx = z - self.origin[0], x - self.origin[1]
        along = dz * math.cos(self.angle) + dx * math.sin(self.angle)
        if math.isinf(self.distance):
            return self.delay + along / c
        from_source = torch.hypot(z - self.source[0], x - self.source[1])
        if self.distance < 0:
            return self.delay + (from_source + self.distance) / c
        beyond = torch.where(along < self.distance, -1.0, 1.0)
        return self.delay + (self.distance + beyond * from_source) / c

    def reaches(self, z: Tensor, x: Tensor, wavelength: float) -> Tensor:
        """1 where the wave passes, 0 elsewhere.

        Focused and diverging waves fill the cone of lines from the source through the active
        elements. At a focus the cone is as wide as the diffraction limit, d lambda / D.
        """
        if self.aperture is None or math.isinf(self.distance):
            return torch.ones_like(z * x)
        sz, sx = self.source
        first, last = self.aperture
        # The line through the source and an element crosses depth z at sx + (e - sx) (z - sz)/-sz.
        share = (z - sz) / (self.origin[0] - sz)
        sides = torch.stack([sx + (e - sx) * share for e in (first, last)])
        width = max(last - first, 1e-9)
        blur = abs(self.distance) * wavelength / width if self.distance > 0 else 0.0
        low, high = sides.amin(0) - blur / 2, sides.amax(0) + blur / 2
        return ((x >= low) & (x <= high)).to(z.dtype)

    @classmethod
    def from_delays(
        cls,
        elements: NDArray[np.floating],
        delays: NDArray[np.floating],
        c: float,
        tolerance: float,
        active: NDArray[np.bool_] | None = None,
    ) -> Self:
        """The wave that transmit delays make.

        The source and t_0 are those of the least squares between the arrival of the wave at every
        active element and its delay.

        Args:
            elements: (E,) positions, m.
            delays: (E,), s; NaN for elements that do not fire.
            c: speed of sound, m/s.
            tolerance: largest difference that is accepted, s.
            active: (E,), the elements that fire; all with finite delays if None.

        Raises:
            ValueError: no element fires, or no such wave has these delays within the tolerance.
        """
        fires = np.isfinite(delays) if active is None else np.isfinite(delays) & active
        if not fires.any():
            raise ValueError("no element fires")
        x, t = elements[fires].astype(float), delays[fires].astype(float)
        aperture = (float(x.min()), float(x.max()))
        if len(x) == 1:  # a point source
            return cls(0.0, -1e-9, float(t[0]), (0.0, float(x[0])))
        middle = float(x.mean())
        u = x - middle
        size = max(float(np.ptp(x)), 1e-9)

        def model(p: NDArray[np.float64]) -> NDArray[np.float64]:
            """Delays c t of curvature k = 1 / d, sine of the angle and offset."""
            k, sine, offset = p
            if abs(k) * size < 1 / _PLANE:
                return np.asarray(offset + u * sine + 0.5 * k * -(1 - sine**2) * u**2)
            d = 1 / k
            s = (d * math.sqrt(max(1 - sine**2, 0.0)), d * sine)
            away = np.hypot(s[0], u - s[1])
            return np.asarray(offset + (d - away if d > 0 else away + d))

        line = np.polyfit(u / size, c * t, 2 if len(x) > 2 else 1)
        slope = float(np.clip(line[-2] / size, -0.99, 0.99))
        bend = -2 * float(line[0]) / size**2 / (1 - slope**2) if len(x) > 2 else 0.0
        # A third of a second to import, which a scan without this fit need not spend.
        from scipy import optimize

        best = optimize.least_squares(
            lambda p: model(p) - c * t,
            [bend, slope, float(line[-1])],
            bounds=([-1e5, -1, -np.inf], [1e5, 1, np.inf]),
            x_scale=[1 / size, 1.0, size],
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        error = float(np.abs(best.fun).max()) / c
        if error > tolerance:
            raise ValueError(
                f"delays of no plane, diverging or focused wave: {1e9 * error:.0f} ns off"
            )
        k, sine, offset = best.x
        plane = abs(k) * size < 1 / _PLANE
        distance = math.inf if plane else 1 / float(k)
        return cls(math.asin(float(sine)), distance, float(offset) / c, (0.0, middle), aperture)
