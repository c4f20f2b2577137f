"""Detectors that are offset, and objects larger than the detector, against analytic projections."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciddm.physics import FanBeam, ParallelBeam, even_angles, filtered_back_projection
from sciddm.physics.fbp import is_offset, offset_weights

MU, RADIUS = 0.02, 40.0
BALL = (15.0, -6.0, 6.0)  # x, y, radius: a hole off the axis


def disk_line_integrals(beam) -> torch.Tensor:
    theta, s = (v.numpy() for v in beam.rays())
    p = 2 * np.sqrt(np.clip(RADIUS**2 - s**2, 0, None))
    x, y, r = BALL
    away = x * np.cos(theta) + y * np.sin(theta) - s
    p -= 2 * np.sqrt(np.clip(r**2 - away**2, 0, None))
    return torch.from_numpy(MU * p).float()


def fan(cells: int, offset: float, arc: float = 2 * math.pi, detector: str = "flat") -> FanBeam:
    return FanBeam(
        even_angles(240, arc), cells, 1.0, source_axis_mm=300.0, source_detector_mm=500.0,
        offset_mm=offset, detector=detector,
    )  # fmt: skip


BEAMS = {
    "centred": fan(170, 0.0),
    "quarter cell": fan(170, 0.25),
    "half fan": fan(100, 36.0),
    "half fan, the other way": fan(100, -36.0),
    "half fan on an arc": fan(100, 36.0, detector="equiangular"),
    "parallel": ParallelBeam(even_angles(240), 64, 1.0, offset_mm=20.0),
}


@pytest.mark.parametrize("name", BEAMS)
def test_water_is_water(name):
    """Within 2 HU in the mean and the hole where it is; without weights the error is hundreds."""
    beam = BEAMS[name]
    assert is_offset(beam) == (name not in ("centred", "quarter cell"))
    image = filtered_back_projection(disk_line_integrals(beam), beam, (100, 100), 1.0).numpy()
    x, y = np.arange(100) - 49.5, 49.5 - np.arange(100)[:, None]
    hole = np.hypot(x - BALL[0], y - BALL[1])
    water = (np.hypot(x, y) < 36) & (hole > 9)
    hu = 1000 * (image / MU - 1)
    assert abs(hu[water].mean()) < 2
    assert np.sqrt((hu[water] ** 2).mean()) < 30
    assert hu[hole < 4].mean() == pytest.approx(-1000, abs=15)


def test_two_weights_of_a_line_add_up():
    beam = BEAMS["half fan"]
    w, gamma = offset_weights(beam), beam.fan_angles
    mirrored = torch.from_numpy(np.interp(-gamma.numpy(), gamma.numpy(), w.numpy(), right=2.0))
    inside = gamma.abs() < -gamma.min()
    torch.testing.assert_close(
        (w + mirrored)[inside], torch.full_like(w, 2.0)[inside], atol=2e-3, rtol=0
    )
    assert float(w.min()) == pytest.approx(0, abs=1e-6)
    assert float(w.max()) == 2


@pytest.mark.parametrize(
    ("beam", "message"),
    [
        (fan(60, 36.0), "sees too little beyond the axis"),
        (fan(100, 36.0, arc=4.0), "turns by less than 360"),
        (ParallelBeam(even_angles(120, math.pi), 64, 1.0, offset_mm=20.0), "no views over"),
    ],
)
def test_what_cannot_be_is_refused(beam, message):
    with pytest.raises(ValueError, match=message):
        filtered_back_projection(disk_line_integrals(beam), beam, (64, 64), 1.0)


@pytest.mark.parametrize(("cells", "offset", "truncated"), [(170, 0, 0), (100, 36, 0), (90, 0, 1)])
def test_an_object_beyond_the_detector_is_told(cells, offset, truncated):
    from sciddm.pipelines.ct.projections import truncation

    beam = fan(cells, float(offset))
    assert truncation(disk_line_integrals(beam), beam) == truncated
