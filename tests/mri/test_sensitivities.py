"""ESPIRiT against known maps, a dense eigen-decomposition, and sigpy's implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.errors import InputError
from sciddm.physics.fourier import fft2c
from sciddm.physics.mri.masks import calibration_region, make_mask
from sciddm.physics.mri.sensitivities import combine, eigenmaps, espirit, rss
from sciddm.simulation.mri.scan import coil_maps, ifft2c, simulate_scan

CASES = [(96, 80, 8), (75, 96, 6), (81, 65, 4)]


def textured_disc(ny: int, nx: int) -> np.ndarray:
    """An ellipse with structure at all scales: calibration sees more than a few smooth modes."""
    y, x = np.mgrid[:ny, :nx]
    y, x = (y - ny // 2) / ny, (x - nx // 2) / nx
    rng = np.random.default_rng(0)
    texture = sum(
        np.cos(2 * np.pi * (f * (np.cos(a) * y + np.sin(a) * x)) + p)
        for f, a, p in rng.uniform((1, 0, 0), (30, np.pi, 2 * np.pi), (40, 3))
    )
    return ((y / 0.40) ** 2 + (x / 0.36) ** 2 < 1) * np.clip(0.6 + 0.08 * texture, 0.05, None)


def scan(ny, nx, coils, snr_db=30.0, seed=1):
    image = textured_disc(ny, nx)
    data = simulate_scan(image, coils, snr_db=snr_db, seed=seed)
    maps = torch.from_numpy(coil_maps(coils, (ny, nx), seed))
    return torch.from_numpy(image > 0), torch.from_numpy(data["kspace"].values[0]), maps, data


def angle(a, b):
    """Sine of the angle between unit vectors over the coils: blind to the phase of a pixel."""
    return (1 - (a.conj() * b).sum(0).abs() ** 2).clamp(min=0).sqrt()


def centre(ny, nx, size):
    return tuple(slice(n // 2 - size // 2, n // 2 - size // 2 + size) for n in (ny, nx))


@pytest.mark.parametrize(("ny", "nx", "coils"), CASES)
@pytest.mark.parametrize(("snr_db", "bound"), [(40.0, 0.008), (20.0, 0.03)])
def test_known_maps_are_recovered(ny, nx, coils, snr_db, bound):
    inside, kspace, true, data = scan(ny, nx, coils, snr_db)
    maps = espirit(kspace, centre(ny, nx, 24), noise_std=data.attrs["noise_std"])
    norm = (maps.abs() ** 2).sum(0)
    assert norm[inside].min() > 0.9999, "the support cuts the object"
    assert set(np.unique(norm.round(decimals=4).numpy())) == {0.0, 1.0}
    assert norm.mean() < 1.6 * inside.float().mean(), "the support is not near the object"
    assert angle(maps, true)[inside].pow(2).mean().sqrt() < bound


@pytest.mark.parametrize(
    ("kind", "axis"), [("random", "ky"), ("gaussian", "kx"), ("poisson", "ky")]
)
def test_any_calibration_region(kind, axis):
    inside, kspace, true, _ = scan(96, 80, 6, snr_db=30)
    mask = make_mask(kind, (96, 80), 3, 12, seed=2, axis=axis)
    maps = espirit(kspace * torch.from_numpy(mask), calibration_region(mask))
    assert angle(maps, true)[inside].pow(2).mean().sqrt() < 0.03


def test_eigenvalue_tells_object_from_air():
    inside, kspace, _, data = scan(96, 80, 6)
    _, values = eigenmaps(kspace, centre(96, 80, 24), noise_std=data.attrs["noise_std"])
    assert values.max() < 1.001
    assert values[inside].min() > 0.97
    assert values[:6, :6].max() < 0.7


def test_projection_of_the_patches_is_reproduced_exactly():
    """Eigenpairs of G, computed densely from the definition with full-size kernels."""
    ny, nx, coils, k = 26, 23, 3, 3
    calibration, threshold = centre(ny, nx, 10), 0.05
    _, kspace, _, _ = scan(ny, nx, coils)
    vectors, values = eigenmaps(kspace, calibration, k, threshold)

    data = kspace.numpy()[:, calibration[0], calibration[1]]
    patches = [data[:, i : i + k, j : j + k].ravel() for i in range(8) for j in range(8)]
    _, sigma, vh = np.linalg.svd(np.array(patches), full_matrices=False)
    kernels = vh[sigma > threshold * sigma[0]].reshape(-1, coils, k, k)
    assert 3 < len(kernels) < coils * k * k
    # Each row of V^H, zero-filled to the image's size and transformed, is g_j of the paper.
    qy, qx = np.arange(ny) - ny // 2, np.arange(nx) - nx // 2
    phase_y = np.exp(-2j * np.pi * np.outer(np.arange(k), qy) / ny)
    phase_x = np.exp(-2j * np.pi * np.outer(np.arange(k), qx) / nx)
    g = np.einsum("jcab,ay,bx->jcyx", kernels.conj(), phase_y, phase_x)
    operator = np.einsum("jcyx,jdyx->yxdc", g, g.conj()) / k**2
    expected = np.linalg.eigvalsh(operator)
    clear = expected[..., -2] < 0.6 * expected[..., -1]  # where power iteration has converged
    assert clear.mean() > 0.1
    np.testing.assert_allclose(values.numpy()[clear], expected[..., -1][clear], rtol=2e-4)
    v = vectors.permute(1, 2, 0).numpy()
    residual = np.einsum("yxdc,yxc->yxd", operator, v) - expected[..., -1:] * v
    assert np.abs(residual[clear]).max() < 5e-3


def test_fully_sampled_scan_is_consistent_with_its_combination():
    """A x = k within the noise, with maps and image both from the scan."""
    _, kspace, _, data = scan(96, 80, 8, snr_db=25)
    sigma = data.attrs["noise_std"]
    maps = espirit(kspace, centre(96, 80, 24), noise_std=sigma)
    image = combine(kspace, maps)
    residual = kspace - fft2c(maps * image)
    # The combination absorbs the noise along the maps, 1 of 8 dimensions on the support.
    explained = (maps.abs() ** 2).sum(0).mean() / 8
    level = (residual.abs() ** 2).mean() / sigma**2
    assert level == pytest.approx(1 - float(explained), rel=0.12)


def test_combine_is_the_adjoint_of_sensing_and_rss_the_norm():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 9, 8, dtype=torch.complex128, generator=generator)
    x = torch.randn(2, 9, 8, dtype=torch.complex128, generator=generator)
    y = torch.randn(2, 3, 9, 8, dtype=torch.complex128, generator=generator)
    left = (fft2c(maps * x[:, None]).conj() * y).sum()
    right = (x.conj() * combine(y, maps)).sum()
    torch.testing.assert_close(left, right)
    expected = np.sqrt((np.abs(ifft2c(y.numpy())) ** 2).sum(1))
    np.testing.assert_allclose(rss(y).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_phase_has_no_singularity_and_follows_the_definition(seed):
    inside, kspace, true, _ = scan(80, 80, 8, seed=seed)
    maps = espirit(kspace, centre(80, 80, 24))
    # Around a vortex the phase winds by 2 pi: sum the wrapped steps around every small loop.
    phase = (maps * true.conj()).sum(0).angle()

    def wrap(a):
        return torch.remainder(a + torch.pi, 2 * torch.pi) - torch.pi

    dy, dx = wrap(phase.diff(dim=0)), wrap(phase.diff(dim=1))
    winding = dy[:, :-1] + dx[1:] - dy[:, 1:] - dx[:-1]
    cell = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
    assert winding[cell].abs().max() < 1e-3
    assert dy[(inside[1:] & inside[:-1])].abs().max() < 0.6
    again = espirit(kspace * 1e-9j, centre(80, 80, 24))
    torch.testing.assert_close(again, maps, atol=2e-3, rtol=0)


def test_weak_signal_needs_the_noise_level():
    inside, kspace, true, data = scan(96, 80, 8, snr_db=0)
    calibration = centre(96, 80, 24)
    told, told_values = eigenmaps(kspace, calibration, noise_std=data.attrs["noise_std"])
    blind, _ = eigenmaps(kspace, calibration)
    error = [angle(m, true)[inside].pow(2).mean().sqrt() for m in (told, blind)]
    assert error[0] < 0.8 * error[1]
    assert told_values[:4].median() < 0.7


def test_unusable_calibration():
    _, kspace, _, _ = scan(96, 80, 4)
    with pytest.raises(InputError, match="too small"):
        espirit(kspace, centre(96, 80, 3))
    with pytest.raises(InputError, match="no usable signal"):
        espirit(torch.zeros_like(kspace), centre(96, 80, 16))
    with pytest.raises(InputError, match="no usable signal"):
        espirit(kspace * torch.nan, centre(96, 80, 16))
    with pytest.raises(InputError, match="axes"):
        espirit(kspace[None], centre(96, 80, 16))


def test_against_sigpy():
    app = pytest.importorskip("sigpy.mri.app", reason="sigpy is not installed")
    inside, kspace, _, _ = scan(96, 96, 6)
    reference = app.EspiritCalib(
        kspace.numpy(), calib_width=24, thresh=0.02, kernel_width=6, crop=0, show_pbar=False
    ).run()
    maps = espirit(kspace, centre(96, 96, 24), threshold=0.02, crop=0)
    assert angle(maps, torch.from_numpy(reference))[inside].max() < 0.01
