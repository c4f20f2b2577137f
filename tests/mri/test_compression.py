"""Coil compression: the signal, its scale and its noise survive, and an image loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.physics import CartesianMRI
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.compression import KEPT, compressed
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import fft2c, simulate_scan, undersample

SHAPE = (48, 40)


def correlation(coils: int) -> np.ndarray:
    """Coils of unequal and correlated noise, of mean power 1."""
    rng = np.random.default_rng(0)
    b = rng.standard_normal((coils, coils)) + 1j * rng.standard_normal((coils, coils))
    scale = np.diag(np.linspace(0.6, 1.5, coils))
    psi = scale @ (np.eye(coils) + 0.02 * b @ b.conj().T) @ scale
    return psi / (np.trace(psi).real / coils)


def few_fields(coils: int, fields: int, noise: float, seed: int = 0) -> xr.Dataset:
    """A scan whose coils are mixtures of a few fields, with a noise scan and maps."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    base = np.stack([np.exp(1j * (a * x + b * y)) for a, b in rng.normal(size=(fields, 2))])
    mix = rng.normal(size=(coils, fields)) + 1j * rng.normal(size=(coils, fields))
    maps = np.einsum("cf,fyx->cyx", mix, base)
    image = np.hypot(x, y) < 0.7
    lower = np.linalg.cholesky(correlation(coils))

    def draw(*shape: int) -> np.ndarray:
        white = rng.normal(size=(2, coils, *shape))
        return noise / np.sqrt(2) * np.tensordot(lower, white[0] + 1j * white[1], 1)

    kspace = fft2c(maps * image) + draw(*SHAPE)
    return xr.Dataset(
        {
            "kspace": (("slice", "coil", "ky", "kx"), kspace[None].astype(np.complex64)),
            "maps": (("slice", "coil", "y", "x"), maps[None].astype(np.complex64)),
            "noise": (("coil", "sample"), draw(20_000).astype(np.complex64)),
        },
        attrs={"source": "test"},
    )


def matrix_of(scan: xr.Dataset, found: xr.Dataset) -> np.ndarray:
    """V of k' = V k, from the data."""
    k, v = (d["kspace"].values[0].reshape(d.sizes["coil"], -1) for d in (scan, found))
    return v @ np.linalg.pinv(k)


def test_signal_and_its_scale_are_kept() -> None:
    scan = few_fields(coils=9, fields=3, noise=1e-3)
    found = compressed(scan, coils=3)
    assert found.sizes["coil"] == 3
    assert found.attrs["coils_measured"] == 9
    assert found.attrs["coil_energy_kept"] == pytest.approx(1, abs=1e-5)
    maps, before = found["maps"].values[0], scan["maps"].values[0]
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(0), (np.abs(before) ** 2).sum(0), rtol=1e-4)
    # The maps are those of the virtual coils: what they predict of the object is in the data.
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    predicted = fft2c(maps * (np.hypot(x, y) < 0.7))
    residual = found["kspace"].values[0] - predicted
    assert np.abs(residual).std() < 0.01 * np.abs(predicted).std()


@pytest.mark.parametrize("coils", [2, 4, 7])
def test_noise_is_that_of_the_virtual_coils(coils: int) -> None:
    scan = few_fields(coils=9, fields=4, noise=0.5)
    found = compressed(scan, coils=coils)
    v = matrix_of(scan, found)
    measured = scan["noise"].values
    psi = measured @ measured.conj().T / measured.shape[1]
    carried = sampling_of(found).covariance().numpy()
    np.testing.assert_allclose(carried, v @ psi @ v.conj().T, atol=1e-3 * np.abs(psi).max())


def test_a_given_noise_level_stays_that_of_every_coil() -> None:
    scan = few_fields(coils=6, fields=2, noise=0.1)
    found = compressed(scan, coils=2, noise_std=0.25)
    v = matrix_of(scan, found)
    np.testing.assert_allclose(v @ v.conj().T, np.eye(2), atol=1e-4)
    np.testing.assert_allclose(
        sampling_of(found).covariance().numpy(), 0.25**2 * np.eye(2), atol=1e-6
    )


def test_strongest_in_signal_for_noise_is_kept() -> None:
    """A loud channel of pure noise is the first to go."""
    rng = np.random.default_rng(3)
    signal = np.zeros((2, *SHAPE), complex)
    signal[0] = fft2c(head_phantom(SHAPE, seed=1).reshape(SHAPE) + 0j)
    level = np.array([0.01, 50.0])
    draw = rng.normal(size=(2, 2, *SHAPE))
    k = signal + level[:, None, None] / np.sqrt(2) * (draw[0] + 1j * draw[1])
    noise = (
        level[:, None] / np.sqrt(2) * (rng.normal(size=(2, 4000)) + 1j * rng.normal(size=(2, 4000)))
    )
    scan = xr.Dataset(
        {
            "kspace": (("slice", "coil", "ky", "kx"), k[None].astype(np.complex64)),
            "noise": (("coil", "sample"), noise.astype(np.complex64)),
        }
    )
    v = matrix_of(scan, compressed(scan, coils=1))
    assert abs(v[0, 1]) < 1e-2 * abs(v[0, 0])


def test_dead_coils_and_slices() -> None:
    scan = few_fields(coils=5, fields=2, noise=0.01)
    two = xr.concat([scan, scan.assign(kspace=2 * scan["kspace"])], "slice", data_vars="minimal")
    two["kspace"][:, 3] = 0
    two["noise"][3] = 0
    found = compressed(two, coils=2)
    assert found["kspace"].shape == (2, 2, *SHAPE)
    np.testing.assert_allclose(found["kspace"][1], 2 * found["kspace"][0], rtol=1e-4)
    assert found.attrs["coil_energy_kept"] > 0.999


def test_nothing_is_done_where_nothing_is_asked() -> None:
    scan = few_fields(coils=4, fields=2, noise=0.01)
    assert compressed(scan) is scan  # few coils
    assert compressed(scan, 0) is scan
    assert compressed(scan, 4) is scan


def test_the_automatic_choice_costs_nothing_measurable() -> None:
    """32 coils, 4-fold undersampled: the least-squares image is as near to the truth as ever."""
    head = head_phantom((64, 64), seed=2, contrast="t2")
    full = simulate_scan(
        head,
        32,
        25.0,
        seed=3,
        noise_correlation=correlation(32),
        noise_samples=20_000,
        with_maps=True,
    )
    mask = make_mask("random", (64, 64), 4, 12, seed=1)
    scan = undersample(full, mask)
    found = compressed(scan)
    assert 0.75 * 32 >= found.sizes["coil"] > 8
    assert found.attrs["coil_energy_kept"] >= KEPT
    truth = torch.from_numpy(np.array(scan["reference"].values[0]))
    errors = []
    for data in (scan, found):
        source = sampling_of(data)
        white = torch.from_numpy(
            np.linalg.inv(np.linalg.cholesky(source.covariance().numpy().astype(np.complex128)))
        ).to(torch.complex64)
        maps = torch.einsum("vc,cyx->vyx", white, torch.from_numpy(data["maps"].values[0]))
        y = torch.einsum("vc,cyx->vyx", white, source.kspace[0])
        operator = CartesianMRI(source.mask[0], maps)
        rhs = operator.adjoint(y[None])
        image = operator.solve(rhs, torch.tensor(1.0), iterations=40)
        errors.append(float((image.squeeze().abs() - truth).square().mean()))
    assert 10 * np.log10(errors[1] / errors[0]) == pytest.approx(0, abs=0.05)
