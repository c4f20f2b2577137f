"""Filter2Noise: the filter against its sum, the self-supervision by hand, and what it achieves."""

from __future__ import annotations

import math

import pytest
import torch
import xarray as xr

from sciddm.classical.filter2noise import (
    Filter2Noise,
    apply_maps,
    bilateral,
    diagonals,
    difference_of_gaussians,
    fit_filter2noise,
    self_supervised_loss,
    swap_closest,
)
from sciddm.errors import InputError
from sciddm.physics import Ellipse, draw_ellipses
from sciddm.pipelines.ct.pipeline_denoising import CTDenoising

F64 = torch.float64


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_bilateral_against_the_written_sum():
    image, widths = randn(2, 1, 6, 7), randn(2, 3, 6, 7, seed=1).abs() + 0.3
    out = bilateral(image, widths, compared=1)
    reach = math.ceil(float(widths[:, :2].max()))

    def mirrored(i: int, n: int) -> int:
        return abs(i) if i < n else 2 * (n - 1) - i

    for b, y, x in ((0, 0, 0), (1, 3, 2), (0, 5, 6), (1, 2, 6)):
        sx, sy, sr = widths[b, :, y, x].tolist()
        centre, total, weights = float(image[b, 0, y, x]), 0.0, 0.0
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                near = float(image[b, 0, mirrored(y + dy, 6), mirrored(x + dx, 7)])
                exponent = (dx / sx) ** 2 + (dy / sy) ** 2 + ((near - centre) / sr) ** 2
                total += math.exp(-exponent / 2) * near
                weights += math.exp(-exponent / 2)
        assert float(out[b, 0, y, x]) == pytest.approx(total / weights)


def test_squares_are_compared_as_in_non_local_means():
    """Inside the image: d^2 is the mean over 3 x 3 pixels of squared differences."""
    image, widths = randn(1, 1, 9, 9), torch.ones(1, 3, 9, 9, dtype=F64)
    out = bilateral(image, widths, compared=3)
    square = image[0, 0]
    total = weights = 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            here, there = square[3:6, 3:6], square[3 + dy : 6 + dy, 3 + dx : 6 + dx]
            d2 = float((here - there).square().mean())
            weight = math.exp(-(dx * dx + dy * dy + d2) / 2)
            total, weights = total + weight * float(square[4 + dy, 4 + dx]), weights + weight
    assert float(out[0, 0, 4, 4]) == pytest.approx(total / weights)


def test_a_volume_has_one_filter_and_its_slices_their_own_maps():
    clean, noisy = phantom(30.0)
    values = torch.stack([noisy, noisy.flip(0), torch.full_like(noisy, -1000.0)]).numpy()
    data = xr.DataArray(values.astype("float32"), dims=("z", "y", "x"), attrs={"units": "HU"})
    out = CTDenoising()(data, method="filter2noise", quality="fast", seed=1)
    after = torch.from_numpy(out["denoised"].values)
    assert float((after[1] - clean.flip(0)).square().mean().sqrt()) < 0.65 * 30.0
    assert torch.equal(after[2], torch.full_like(after[2], -1000.0))
    maps = torch.stack([torch.from_numpy(out[f"sigma_{k}"].values) for k in "xyr"], dim=1)
    again = apply_maps(torch.from_numpy(values[0]).float(), maps[:, :, 0])
    assert torch.allclose(again[:40, :48], after[0, :40, :48], atol=0.05)


def test_number_of_parameters():
    model = Filter2Noise(torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in model.stages[0].parameters()) == 1819
    assert sum(p.numel() for p in model.parameters()) == 3638


def test_diagonals_and_swaps_by_hand():
    image = torch.tensor([[1.0, 2.0, 10.0, 20.0], [5.0, 9.0, 31.0, 40.0]])[None, None]
    rising, falling = diagonals(image)
    assert rising.flatten().tolist() == [3.5, 25.5]
    assert falling.flatten().tolist() == [5.0, 25.0]
    # 1 and 2 are the closest of the first block, 31 and 40 of the second.
    assert swap_closest(image)[0, 0].tolist() == [[2.0, 1.0, 10.0, 20.0], [5.0, 9.0, 40.0, 31.0]]
    kernel = difference_of_gaussians()
    assert float(kernel.sum()) == pytest.approx(0, abs=1e-15)
    assert float(kernel.abs().max()) == pytest.approx(2.3e-4, rel=0.02)


def test_the_loss_of_a_filter_that_does_nothing():
    """Written out for the identity: no edge changes, and the halves differ by the swaps alone."""
    image = randn(1, 1, 16, 16)
    one, two = diagonals(image)
    a, b = swap_closest(one), swap_closest(two)
    pairs = ((a, b), (a, one), (b, two), (one, two))
    exact = sum(float((u - v).abs().mean()) for u, v in pairs) / 3
    loss = self_supervised_loss(torch.nn.Identity(), image, edges=350.0)
    assert float(loss) == pytest.approx(exact)

    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    edge = torch.nn.functional.conv2d(image, difference_of_gaussians()).abs().mean()
    loss = self_supervised_loss(Half(), image, edges=350.0)
    assert float(loss) == pytest.approx(exact / 2 + 350 * float(edge) / 2)


def phantom(sd: float) -> tuple[torch.Tensor, torch.Tensor]:
    e = [Ellipse(200, 0, 0, 28, 22), Ellipse(-120, 8, 4, 9, 12), Ellipse(90, -10, -4, 6, 6)]
    clean = draw_ellipses(e, (56, 66), 1.0, 4) - 100
    return clean, clean + sd * randn(56, 66, seed=3)


def test_it_denoises_without_a_clean_image():
    clean, noisy = phantom(30.0)
    found = fit_filter2noise(noisy, iterations=40, seed=1)
    assert float((found.image - clean).square().mean().sqrt()) < 0.65 * 30.0
    assert abs(float((found.image - clean).mean())) < 2.0
    # The maps are all that was done, and can be changed: a narrow filter leaves the image alone.
    assert found.maps.shape == (2, 3, 56, 66)
    inner = apply_maps(noisy, found.maps)[:40, :48]  # away from where the image was extended
    assert torch.allclose(inner, found.image[:40, :48], atol=0.05)
    edited = found.maps.clone()
    edited[:, :2, :20, :20] = 0.05
    out = apply_maps(noisy, edited)
    assert torch.allclose(out[:20, :20], noisy[:20, :20], atol=1e-6)
    assert torch.allclose(out[30:40, 30:40], found.image[30:40, 30:40], atol=0.05)


def test_widths_stay_where_training_finds_them():
    """Whatever its parameters, a stage does not leave its bounds: nothing is blurred away."""
    model = Filter2Noise(torch.Generator().manual_seed(0))
    image = randn(1, 1, 32, 32).float()
    for push in (-50.0, 50.0):
        for stage in model.stages:
            stage.widths.bias.data.fill_(push)
        maps = model.with_maps(image)[1][:, 0].flatten(2)
        for stage, found in zip(model.stages, maps, strict=True):
            bound = stage.least if push < 0 else stage.most
            assert torch.allclose(found, bound[:, None].expand_as(found))


def test_units_do_not_matter_and_a_run_repeats():
    _, noisy = phantom(30.0)
    once = fit_filter2noise(noisy, iterations=5, seed=2)
    scaled = fit_filter2noise(0.001 * noisy + 4, iterations=5, seed=2)
    assert torch.allclose((scaled.image - 4) * 1000, once.image, atol=0.05)
    assert torch.allclose(scaled.maps[:, 2] * 1000, once.maps[:, 2], rtol=1e-3)
    assert torch.equal(fit_filter2noise(noisy, iterations=5, seed=2).image, once.image)
    assert not torch.equal(fit_filter2noise(noisy, iterations=5, seed=3).image, once.image)


def test_what_cannot_be_filtered():
    for bad in (torch.zeros(8, 40), torch.zeros(1, 40, 40), torch.full((40, 40), math.nan)):
        with pytest.raises(InputError, match="an image"):
            fit_filter2noise(bad)
    with pytest.raises(InputError, match="constant"):
        fit_filter2noise(torch.ones(40, 40))
    with pytest.raises(InputError, match="maps"):
        apply_maps(torch.ones(40, 40), torch.zeros(2, 3, 40, 40))
