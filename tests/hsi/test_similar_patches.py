"""Groups of similar patches against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.classical.spectral import similar_patches
from sciddm.classical.spectral.similar_patches import refined, refinement_context


def two_materials(seed=0, shape=(24, 20), noise=1.0):
    """(clean, measured): halves of two materials, whose spectra vary along one direction each."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((6, 6)))[0].astype(np.float32)
    clean = np.zeros((6, *shape), np.float32)
    for half, (level, axis) in enumerate([(0.0, axes[:, 0]), (40.0, axes[:, 1])]):
        side = slice(0, shape[1] // 2) if half == 0 else slice(shape[1] // 2, None)
        amount = 5 * rng.standard_normal(clean[0, :, side].shape).astype(np.float32)
        clean[:, :, side] = level * axes[:, 2][:, None, None] + axis[:, None, None] * amount
    return clean, (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32)


def test_a_group_is_resolved_along_its_own_axes():
    """What varies along one direction of six keeps a sixth of the noise; fixed axes cannot do that.

    The amounts are white in space, so nothing is gained from the neighbours of a pixel.
    """
    clean, measured = two_materials()
    out = refined(clean, measured, 8, 24)  # the truth as pilot: the group's moments are right
    inner = np.s_[:, :, [*range(1, 8), *range(12, 19)]]
    error = float(np.mean((out - clean)[inner] ** 2))
    # Of 1/6, power / (power + 1) with power 25; groups hold the patch itself, so a little less.
    assert 0.6 / 6 < error < 1.05 / 6


def test_the_closed_form_of_one_group(monkeypatch):
    """An image whose patches all belong to all groups: c^ by hand, axis by axis."""
    rng = np.random.default_rng(1)
    pilot = rng.normal(0, 2, (3, 3, 3)).astype(np.float32)
    measured = (pilot + rng.standard_normal(pilot.shape)).astype(np.float32)
    monkeypatch.setattr(similar_patches, "_PASSES", 1)
    out = refined(pilot, measured, 1, 4)  # four patches of 2 x 2, each the neighbour of all others
    corners = [(y, x) for y in range(2) for x in range(2)]

    def patches(image):  # (patch, pixel, coefficient)
        return np.stack([image[:, y : y + 2, x : x + 2].reshape(3, 4).T for y, x in corners])

    guides, data = patches(pilot.astype(float)), patches(measured.astype(float))
    middle = guides.reshape(-1, 3).mean(0)
    axes = np.linalg.eigh(np.cov(guides.reshape(-1, 3).T))[1]
    guides, data = (guides - middle) @ axes, (data - middle) @ axes
    found = np.empty_like(guides)
    for k in range(3):
        mean, C = guides[..., k].mean(0), np.cov(guides[..., k].T)
        found[..., k] = mean + (data[..., k] - mean) @ np.linalg.inv(C + np.eye(4)) @ C
    found = found @ axes.T + middle
    sums, times = np.zeros((3, 3, 3)), np.zeros((3, 3))
    for (y, x), patch in zip(corners, found, strict=True):
        sums[:, y : y + 2, x : x + 2] += patch.T.reshape(3, 2, 2)
        times[y : y + 2, x : x + 2] += 1
    assert np.allclose(out, sums / times, atol=1e-4)


def test_like_patches_are_joined_and_unlike_ones_are_not():
    """An edge stays: no group reaches across it, though its patches lie nearer there."""
    clean, measured = two_materials(noise=0.1)
    out = refined(clean, measured, 4, 16)
    assert np.abs(out - clean).max() < 1.0  # the halves are 40 apart


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (2, 2), (3, 40)])
def test_narrow_images(shape):
    rng = np.random.default_rng(2)
    pilot = rng.normal(0, 3, (2, *shape)).astype(np.float32)
    measured = (pilot + rng.standard_normal(pilot.shape)).astype(np.float32)
    out = refined(pilot, measured, 5, 8)
    assert out.shape == pilot.shape
    assert np.isfinite(out).all()
    assert np.std(out - pilot) < np.std(measured - pilot)
    if shape == (2, 2):  # one patch: nothing is like it
        assert np.array_equal(out, pilot)


def test_beyond_the_context_nothing_counts():
    clean, measured = two_materials(shape=(40, 44))
    window = 3
    reach = refinement_context(window)
    whole = refined(clean, measured, window, 10)
    part = refined(clean[:, :30], measured[:, :30], window, 10)
    assert np.allclose(part[:, : 30 - reach], whole[:, : 30 - reach], atol=1e-4)
    assert not np.allclose(part[:, -1], whole[:, 29], atol=1e-4)


def test_the_second_pass_takes_the_middle_as_its_pilot(monkeypatch):
    clean, measured = two_materials()
    pilot = (0.7 * clean + 0.3 * measured).astype(np.float32)
    both = refined(pilot, measured, 3, 10)
    monkeypatch.setattr(similar_patches, "_PASSES", 1)
    once = refined(pilot, measured, 3, 10)
    assert np.allclose(both, refined((pilot + once) / 2, measured, 3, 10), atol=1e-4)
    assert np.abs(both - once).max() > 0.01
