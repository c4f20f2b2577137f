"""Projections and filtered back-projection against ellipses, whose integrals are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support import F64, randn
from torch import Tensor

from sciddm.physics import (
    Beam,
    Ellipse,
    FanBeam,
    ParallelBeam,
    Projector,
    draw_ellipses,
    even_angles,
    filtered_back_projection,
    integrate_ellipses,
)
from sciddm.physics.fbp import WINDOWS, short_scan_weights, view_shares

BODY = Ellipse(0.02, 5, -8, 70, 50, 0.4)
PHANTOM = [BODY, Ellipse(0.004, 20, 5, 12, 20, -0.3), Ellipse(-0.006, -30, -15, 10, 10)]
SIZE, PIXEL = (200, 190), 1.0
DISTANCES = {"source_axis_mm": 500.0, "source_detector_mm": 1000.0}


def beams(views: int = 360) -> dict[str, Beam]:
    half, full = even_angles(views, math.pi, 0.2), even_angles(views, start=0.3)
    return {
        "parallel": ParallelBeam(half, 256, 0.8),
        "parallel, full turn": ParallelBeam(full, 255, 0.8, offset_mm=0.2),
        "flat": FanBeam(full, 300, 1.6, detector="flat", offset_mm=0.4, **DISTANCES),
        "equiangular": FanBeam(full, 300, 1.6, offset_mm=-0.4, **DISTANCES),
    }


every_beam = pytest.mark.parametrize("name", list(beams()))


def measured(beam: Beam) -> Tensor:
    """The phantom's sinogram by cells of finite width: the mean of three rays in each."""
    shifts = (-beam.pitch_mm / 3, 0.0, beam.pitch_mm / 3)
    parts = [replace(beam, offset_mm=beam.offset_mm + shift) for shift in shifts]
    return torch.stack([integrate_ellipses(PHANTOM, *part.rays()) for part in parts]).mean(0)


def within(margin: float) -> Tensor:
    """Pixels of the body at least ``margin`` mm from every edge, seen from the ellipses."""
    keep = torch.ones(SIZE, dtype=torch.bool)
    for e in PHANTOM:
        grown = Ellipse(1, e.x, e.y, e.a + margin, e.b + margin, e.tilt)
        shrunk = Ellipse(1, e.x, e.y, e.a - margin, e.b - margin, e.tilt)
        inside = draw_ellipses([shrunk], SIZE, PIXEL) == 1
        outside = draw_ellipses([grown], SIZE, PIXEL) == 0
        keep &= inside if e is BODY else inside | outside
    return keep


def test_integral_of_an_ellipse_by_summing_points():
    e = Ellipse(1.7, 3.0, -2.0, 8.0, 4.0, 0.7)
    t = torch.linspace(-20, 20, 400_001, dtype=F64)
    for theta, s in ((0.0, 4.0), (0.9, -1.5), (2.5, 1.0), (4.0, 30.0)):
        x = s * math.cos(theta) - t * math.sin(theta)
        y = s * math.sin(theta) + t * math.cos(theta)
        along = (x - e.x) * math.cos(e.tilt) + (y - e.y) * math.sin(e.tilt)
        across = (y - e.y) * math.cos(e.tilt) - (x - e.x) * math.sin(e.tilt)
        inside = (along / e.a) ** 2 + (across / e.b) ** 2 <= 1
        exact = integrate_ellipses([e], torch.tensor(theta, dtype=F64), torch.tensor(s, dtype=F64))
        assert float(exact) == pytest.approx(1.7 * float(inside.sum()) * 1e-4, abs=1e-3)


@pytest.mark.parametrize("detector", ["flat", "equiangular"])
def test_fan_rays_run_from_the_source_to_the_cell(detector):
    """Both ends of every ray, placed by hand, lie on its line, and it points the right way."""
    beam = FanBeam(
        (0.0, 0.4, 3.0), 5, 90.0, offset_mm=20.0, detector=detector,
        source_axis_mm=300.0, source_detector_mm=500.0,
    )  # fmt: skip
    theta, s = beam.rays()
    for v, beta in enumerate(beam.angles):
        source = 300 * torch.tensor([-math.sin(beta), math.cos(beta)], dtype=F64)
        central = torch.tensor([math.sin(beta), -math.cos(beta)], dtype=F64)
        along = torch.tensor([math.cos(beta), math.sin(beta)], dtype=F64)
        for k in range(5):
            u = (k - 2) * 90.0 + 20.0
            if detector == "flat":
                cell = source + 500 * central + u * along
            else:
                cell = source + 500 * (math.cos(u / 500) * central + math.sin(u / 500) * along)
            normal = torch.stack([theta[v, k].cos(), theta[v, k].sin()])
            assert float(normal @ source) == pytest.approx(float(s[v, k]), abs=1e-9)
            assert float(normal @ cell) == pytest.approx(float(s[v, k]), abs=1e-9)


@every_beam
def test_projector_against_the_exact_integrals(name):
    """Of a finely drawn phantom; the worst rays are those that graze an edge."""
    beam = beams(40)[name]
    exact = integrate_ellipses(PHANTOM, *beam.rays())
    p = Projector(beam, SIZE, PIXEL)(draw_ellipses(PHANTOM, SIZE, PIXEL, 8))
    assert float((p - exact).norm() / exact.norm()) < 0.006
    assert float((p.sum(-1) / exact.sum(-1) - 1).abs().max()) < 0.002


@every_beam
def test_adjoint_in_single_precision(name):
    beam = beams(24)[name]
    A = Projector(beam, (101, 101), 1.9)
    x, y = randn(2, 1, 101, 101).float(), randn(2, 1, 24, beam.cells, seed=1).float()
    left, right = (A(x).double() * y).sum((1, 2, 3)), (x.double() * A.adjoint(y)).sum((1, 2, 3))
    assert ((left - right).abs() / (A(x).norm() * y.norm())).max() < 1e-5


def test_turned_images_are_the_views_themselves():
    """The first quarter of the views with turned images equals every view with its own weights."""
    x = randn(3, 1, 31, 31)
    for arc, views in ((2 * math.pi, 12), (-2 * math.pi, 12), (math.pi, 6), (1.5 * math.pi, 9)):
        angles = even_angles(views, arc, 0.15)
        whole = Projector(ParallelBeam(angles, 45, 0.9), (31, 31), 1.1, dtype=F64)
        uneven = ParallelBeam((*angles[:-1], angles[-1] + 0.01), 45, 0.9)
        assert whole.nbytes < Projector(uneven, (31, 31), 1.1, dtype=F64).nbytes / 1.9
        for v, angle in enumerate(angles):
            one = Projector(ParallelBeam((angle,), 45, 0.9), (31, 31), 1.1, dtype=F64)
            assert torch.allclose(whole(x)[..., v, :], one(x)[..., 0, :], atol=1e-9)


def test_projection_has_derivatives_of_every_order():
    A = Projector(ParallelBeam(even_angles(4), 5, 0.3), (4, 4), 0.3, dtype=F64)
    x = randn(1, 4, 4).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: A(v) ** 2, x)
    assert torch.autograd.gradgradcheck(lambda v: A.adjoint(A(v)) ** 2, x)


def test_against_scikit_image():
    """Its radon turns the image with linear interpolation and sums columns."""
    from skimage.transform import radon

    n, degrees = 121, [0.0, 20.0, 45.0, 90.0, 133.0]
    e = [Ellipse(1.0, 6, -9, 40, 22, 0.5), Ellipse(0.5, -12, 4, 9, 15)]
    image = draw_ellipses(e, (n, n), 1.0, 6)
    theirs = torch.from_numpy(radon(image.numpy(), theta=degrees, circle=True)).T
    ours = Projector(ParallelBeam(tuple(map(math.radians, degrees)), n, 1.0), (n, n), 1.0)(image)
    assert float((ours - theirs).norm() / theirs.norm()) < 0.01
    assert float((ours - theirs).abs().max() / theirs.max()) < 0.03
    assert torch.allclose(ours[0], image.sum(0), rtol=1e-5)  # straight down: no interpolation


@every_beam
@pytest.mark.parametrize("window", WINDOWS)
def test_back_projection_is_right_inside(name, window):
    """Within 1 % of the truth, pixel by pixel, where no edge is near."""
    beam = beams(720)[name]
    image = filtered_back_projection(measured(beam), beam, SIZE, PIXEL, window=window)
    truth, inside = draw_ellipses(PHANTOM, SIZE, PIXEL), within(7)
    assert int(inside.sum()) > 3000
    assert ((image / truth - 1)[inside].abs()).max() < 0.01
    assert abs(float((image / truth - 1)[inside].mean())) < 5e-4


def short_scan(turn: float, sense: int = 1, **changes: object) -> FanBeam:
    angles = even_angles(720, sense * turn, 5.0)
    return FanBeam(angles, 300, 1.6, **{**DISTANCES, **changes})


NEEDED = math.pi + 2 * float(short_scan(4.0).fan_angles.abs().max())


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("more", [0.0, 0.4, 1.5])
def test_every_line_of_a_short_scan_counts_once(more, sense):
    """The weights of a ray and of the one along the same line from its other end add up to 1."""
    turn = NEEDED + more
    shares, w = short_scan_weights(short_scan(turn, sense))
    assert torch.allclose(shares, torch.tensor(turn / 720, dtype=F64))
    order = torch.arange(720) if sense == 1 else torch.arange(719, -1, -1)  # by place, not time
    w, beta = w[order], (torch.arange(720, dtype=F64) + 0.5) * turn / 720
    gamma = short_scan(turn).fan_angles
    for k in (0, 40, 150, 260, 299):
        other = (beta + math.pi + 2 * gamma[k]) % (2 * math.pi)
        at = other / turn * 720 - 0.5
        low = at.floor().long().clamp(0, 718)
        against = torch.lerp(w[low, 299 - k], w[low + 1, 299 - k], (at - low).clamp(0, 1))
        total = w[:, k] + torch.where(other < turn, against, 0.0)
        assert float((total - 1).abs().max()) < 0.02
    assert more or float(w[:, 0].sum() * turn / 720) == pytest.approx(math.pi, rel=1e-3)


@pytest.mark.parametrize("detector", ["flat", "equiangular"])
@pytest.mark.parametrize(("more", "sense"), [(0.05, 1), (0.9, -1)])
def test_back_projection_of_a_short_scan(detector, more, sense):
    beam = short_scan(NEEDED + more, sense, detector=detector, offset_mm=0.4)
    image = filtered_back_projection(measured(beam), beam, SIZE, PIXEL, window="hann")
    truth, inside = draw_ellipses(PHANTOM, SIZE, PIXEL), within(7)
    assert ((image / truth - 1)[inside].abs()).max() < 0.01
    assert abs(float((image / truth - 1)[inside].mean())) < 5e-4
    with pytest.raises(ValueError, match="degrees for this fan"):
        filtered_back_projection(randn(720, 300), short_scan(NEEDED - 0.05, sense), SIZE, PIXEL)


def test_back_projection_in_a_batch_and_its_gradient():
    beam = beams(16)["equiangular"]
    p = randn(2, 1, 16, 300)
    args = (beam, (20, 24), 7.0)
    both = filtered_back_projection(p, *args)
    assert torch.allclose(both[1, 0], filtered_back_projection(p[1, 0], *args))
    p.requires_grad_(True)
    v = randn(2, 1, 20, 24, seed=1)
    (g,) = torch.autograd.grad(filtered_back_projection(p, *args), p, v)
    other = randn(2, 1, 16, 300, seed=2)
    left = (filtered_back_projection(other, *args) * v).sum()
    assert float(left) == pytest.approx(float((other * g).sum()), rel=1e-9)  # linear


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_have_their_spectrum(window):
    """Of one view without back-projection's blur: pixels fall on the cells."""
    n = 129
    impulse = torch.zeros(1, n, dtype=F64)
    impulse[0, n // 2] = 1
    beam = ParallelBeam((0.0,), n, 2.0)
    line = filtered_back_projection(impulse, beam, (1, n), 2.0, window=window)[0] / math.pi
    f = torch.linspace(0.05, 0.5, 10, dtype=F64)  # cycles per cell
    x = torch.arange(n, dtype=F64) - n // 2
    spectrum = (line * torch.cos(2 * math.pi * f[:, None] * x)).sum(-1) * 2.0
    expected = {
        "ram-lak": f,
        "shepp-logan": torch.sin(math.pi * f) / math.pi,
        "cosine": f * torch.cos(math.pi * f),
        "hann": f * torch.cos(math.pi * f) ** 2,
    }[window]
    assert torch.allclose(spectrum, expected, atol=0.004)


def test_uneven_views_get_their_share():
    shares = view_shares((0.0, 0.1, 0.3, 0.6), 1.0)
    assert torch.allclose(shares, torch.tensor([0.25, 0.15, 0.25, 0.35], dtype=F64))
    # A full turn of parallel rays sees every line twice: half the weight each.
    twice = view_shares(even_angles(8), math.pi)
    assert float(twice.sum()) == pytest.approx(math.pi)
    jitter = 0.8 * torch.rand(500, generator=torch.Generator().manual_seed(1))
    uneven = tuple(math.pi / 500 * (k + float(j)) for k, j in enumerate(jitter))
    beam = ParallelBeam(uneven, 256, 0.8)
    image = filtered_back_projection(
        integrate_ellipses(PHANTOM, *beam.rays()), beam, SIZE, PIXEL, window="hann"
    )
    truth, inside = draw_ellipses(PHANTOM, SIZE, PIXEL), within(7)
    assert abs(float((image / truth - 1)[inside].mean())) < 5e-3


def test_what_cannot_be():
    beam = ParallelBeam(even_angles(6, math.pi), 9, 1.0)
    with pytest.raises(ValueError, match="sinogram"):
        filtered_back_projection(randn(6, 8), beam, (4, 4), 1.0)
    with pytest.raises(ValueError, match="no window"):
        filtered_back_projection(randn(6, 9), beam, (4, 4), 1.0, window="box")
    limited = ParallelBeam(even_angles(30, 2.0), 9, 1.0)
    with pytest.raises(ValueError, match="no views over"):
        filtered_back_projection(randn(30, 9), limited, (4, 4), 1.0)
    with pytest.raises(ValueError, match="an image of"):
        Projector(beam, (4, 4), 1.0)(randn(1, 4, 5))
    with pytest.raises(ValueError, match="a sinogram of"):
        Projector(beam, (4, 4), 1.0).adjoint(randn(1, 6, 8))
    with pytest.raises(ValueError, match="real"):
        Projector(beam, (4, 4), 1.0)(randn(1, 4, 4, dtype=torch.complex128))
    for wrong in ({"angles": ()}, {"cells": 0}, {"pitch_mm": 0.0}, {"offset_mm": math.nan}):
        with pytest.raises(ValueError, match=r"detector|view"):
            ParallelBeam(**{"angles": (0.0,), "cells": 3, "pitch_mm": 1.0, **wrong})
    for wrong in (
        {"source_axis_mm": 0.0},
        {"source_detector_mm": -1.0},
        {"detector": "round"},
        {"pitch_mm": 900.0},
    ):
        with pytest.raises(ValueError, match=r"source|flat|180"):
            FanBeam(**{"angles": (0.0,), "cells": 9, "pitch_mm": 1.0, **DISTANCES, **wrong})
    fan = FanBeam(even_angles(8), 9, 1.0, source_axis_mm=50.0, source_detector_mm=90.0)
    with pytest.raises(ValueError, match="beyond the source"):
        filtered_back_projection(randn(8, 9), fan, (100, 100), 1.0)
