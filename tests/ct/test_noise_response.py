"""Noise of an image, measured and drawn; estimates that keep too much of it give way to others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from sciddm.physics.tomography.noise_texture import noise_texture
from sciddm.random.streams import AntitheticStreams
from sciddm.sampling.draws import turning_noise
from sciddm.uncertainty.noise_response import (
    Candidate,
    blend_share,
    kept_share,
    mixture,
    noise_part,
    true_level,
)

SIDE = 160
RNG = np.random.default_rng(4)
ALL = np.ones((SIDE, SIDE), bool)


def streaks(seed: int, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """Unit noise that is longer along x."""
    white = np.random.default_rng(seed).standard_normal(shape)
    field = ndimage.gaussian_filter(white, (0.7, 2.5))
    return field / field.std()


def correlation(field: np.ndarray, dy: int, dx: int) -> float:
    moved = np.roll(field, (dy, dx), (0, 1))
    return float((field * moved).mean() / (field**2).mean())


def test_a_draw_has_level_place_and_texture_of_the_noise():
    place = np.where(np.mgrid[:SIDE, :SIDE][1] < SIDE // 2, 15.0, 30.0)
    texture = noise_texture(place * streaks(1), ALL, ALL)
    drawn = texture.draw(np.random.default_rng(9).standard_normal(texture.shape))
    left, right = drawn[:, : SIDE // 2 - 16], drawn[:, SIDE // 2 + 16 :]
    assert left.std() == pytest.approx(15, rel=0.12)
    assert right.std() == pytest.approx(30, rel=0.12)
    for lag in ((0, 2), (2, 0), (1, 1)):
        expected = correlation(streaks(2), *lag)
        assert correlation(drawn, *lag) == pytest.approx(expected, abs=0.08)


def test_edges_are_no_noise():
    """A bone edge outside flat tissue and a few calcifications in it change the level little."""
    noise = 20 * streaks(3)
    flat = np.mgrid[:SIDE, :SIDE][1] < 120
    spoilt = noise.copy()
    spoilt[:, 120:] += 400
    spoilt[::37, ::41] += 300
    plain = noise_texture(noise, flat, ALL).covariance[0, 0] ** 0.5
    assert noise_texture(spoilt, flat, ALL).covariance[0, 0] ** 0.5 == pytest.approx(plain, rel=0.1)


def test_the_kept_share_of_a_linear_filter_is_its_trace():
    probe = RNG.standard_normal((SIDE, SIDE))
    kernel = np.array([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]])
    response = ndimage.convolve(probe, kernel, mode="wrap")
    assert kept_share(response, probe, ALL) == pytest.approx(0.4, abs=0.02)
    assert kept_share(response, 0 * probe, ALL) == 0


def test_the_level_counts_noise_that_the_smooth_estimate_keeps():
    """y - g of g = .3 y: 30 HU of noise seem 21."""
    probe = 21 * RNG.standard_normal((SIDE, SIDE))
    assert true_level(0.3 * probe, probe, ALL) == pytest.approx(1 / 0.7)
    assert true_level(0 * probe, 0 * probe, ALL) == 1


def test_noise_part_is_the_power_that_a_probe_explains():
    response, detail = 3 * streaks(5), 4 * streaks(6)
    assert noise_part(response, response, ALL) == 1
    assert noise_part(3 * streaks(7) + detail, response, ALL) == pytest.approx(9 / 25, abs=0.06)
    assert noise_part(0 * response, response, ALL) == 0


def test_shares_follow_the_excess_and_spare_detail():
    assert blend_share(kept=0.3, wanted=0.4, part=1.0, lost=0.5) == 0
    assert blend_share(kept=0.5, wanted=0.0, part=1.0, lost=0.5) == 1
    assert blend_share(kept=0.5, wanted=0.4, part=1.0, lost=0.5) == pytest.approx(0.2)
    assert blend_share(kept=0.5, wanted=0.0, part=0.8, lost=0.5) == pytest.approx(0.7)
    assert blend_share(kept=0.5, wanted=0.0, part=0.2, lost=0.5) == 0


def mixed(wanted: float, least: float = 0.0, detail: float = 0.0) -> tuple[float, float, float]:
    """Noise that stays, share, and the part that is said to be left, of keeping .6 and 0."""
    noise, probe = 10 * streaks(11), 10 * streaks(12)
    as_tensor = torch.from_numpy
    lost = detail * streaks(13)
    found = mixture(
        Candidate(as_tensor(0.6 * noise + lost), as_tensor(0.6 * probe)),
        [Candidate(as_tensor(0 * noise), as_tensor(0 * probe))],
        probe=probe,
        level=1.0,
        wanted=wanted,
        where=ALL,
        least=least,
    )
    return float((found.estimate - as_tensor(lost)).std()), found.share, found.left


def test_noise_that_should_not_stay_goes():
    stays, share, left = mixed(wanted=0.0)
    assert share > 0.97
    assert stays < 0.2
    assert left < 0.02
    stays, share, left = mixed(wanted=0.6)
    assert share == 0
    assert left == pytest.approx(0.6)


def test_detail_that_the_smoother_one_loses_stays():
    assert mixed(wanted=0.0, detail=30.0)[1] == 0
    assert mixed(wanted=0.0, detail=30.0, least=0.7)[1] == pytest.approx(0.7)


@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (24, 40)])
def test_draws_start_from_noise_that_turns_with_the_image(shape):
    """Each of four draws sees, after its own turns, what the next saw before the turn."""
    ours = turning_noise(AntitheticStreams(3, [4, 5, 6, 7]), torch.zeros(4, 1, *shape))
    turned = turning_noise(AntitheticStreams(3, [4, 5, 6, 7]), torch.zeros(4, 1, *shape[::-1]))
    for draw in range(4):
        seen = torch.rot90(turned[draw], draw, (-2, -1))
        before = torch.rot90(ours[(draw + 1) % 4], draw + 1, (-2, -1))
        assert torch.allclose(seen, before, atol=1e-5)
    assert torch.equal(ours[0], -ours[1])
    assert float(ours.std()) == pytest.approx(1, abs=0.12)
    other = turning_noise(AntitheticStreams(3, [8, 9, 10, 11]), torch.zeros(4, 1, *shape))
    assert abs(float((ours * other).mean())) < 0.15
