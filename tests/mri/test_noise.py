"""Noise covariance: recovered from simulated scans in every way a scan permits, and whitened."""

from __future__ import annotations

import numpy as np
import pytest

from sciddm.errors import InputError
from sciddm.physics.mri.masks import make_mask
from sciddm.physics.mri.noise import (
    _air,
    _choose,
    covariance_candidates,
    estimate_covariance,
    noise_doubt,
)
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import fft2c, ifft2c, simulate_scan, undersample

COILS, SHAPE = 8, (160, 144)


def correlation(coils: int = COILS) -> np.ndarray:
    rng = np.random.default_rng(0)
    b = rng.standard_normal((coils, coils)) + 1j * rng.standard_normal((coils, coils))
    scale = np.diag(np.linspace(0.7, 1.4, coils))
    return scale @ (np.eye(coils) + 0.03 * b @ b.conj().T) @ scale


@pytest.fixture(scope="module")
def scans():
    head = head_phantom(SHAPE, seed=2, contrast="t2")
    return {
        snr: simulate_scan(head, COILS, snr, seed=3, noise_correlation=correlation())
        for snr in (20.0, 30.0)
    }


def true_covariance(scan):
    psi = correlation()
    return psi / (np.trace(psi).real / COILS) * scan.attrs["noise_std"] ** 2


def power_ratio(estimate, true):
    return float((np.diag(estimate) / np.diag(true)).real.mean())


@pytest.mark.parametrize("snr", [20.0, 30.0])
@pytest.mark.parametrize(
    ("kind", "acceleration", "axis", "power", "matrix"),
    [
        ("random", 4, "ky", 0.08, 0.2),
        ("equispaced", 8, "kx", 0.1, 0.25),
        ("gaussian", 6, "ky", 0.1, 0.25),
        # No air to look at under a 2D mask: the calibration region has few samples.
        ("poisson", 4, "ky", 0.15, 0.35),
        ("poisson", 8, "ky", 0.15, 0.35),
    ],
)
def test_known_covariance_is_recovered(scans, snr, kind, acceleration, axis, power, matrix):
    scan = scans[snr]
    mask = make_mask(kind, SHAPE, acceleration, 16, seed=1, axis=axis)
    estimate = estimate_covariance(undersample(scan, mask)["kspace"].values, mask)
    true = true_covariance(scan)
    assert power_ratio(estimate, true) == pytest.approx(1, abs=power)
    assert np.linalg.norm(estimate - true) < matrix * np.linalg.norm(true)
    np.testing.assert_allclose(estimate, estimate.conj().T, atol=1e-12 * np.abs(true).max())


def test_every_place_finds_pure_noise_exactly_enough():
    rng = np.random.default_rng(5)
    lower = np.linalg.cholesky(correlation(4))
    n = rng.standard_normal((2, 4, 96, 96)) + 1j * rng.standard_normal((2, 4, 96, 96))
    kspace = np.einsum("ij,sjyx->siyx", lower, n / np.sqrt(2))
    found = covariance_candidates(kspace, np.ones((96, 96), bool))
    assert {"border", "air along ky", "air along kx"} <= set(found)
    for name, psi in found.items():
        assert power_ratio(psi, correlation(4)) == pytest.approx(1, abs=0.1), name
        # Off-diagonals too, real and imaginary part, hence not the transpose.
        error = np.linalg.norm(psi - correlation(4)) / np.linalg.norm(correlation(4))
        assert error < (0.15 if name != "calibration" else 0.3), name


def test_border_signal_does_not_win(scans):
    scan = scans[30.0]
    found = covariance_candidates(scan["kspace"].values, np.ones(SHAPE, bool))
    true = true_covariance(scan)
    assert power_ratio(found["border"], true) > 1.5, "no longer a test of anything"
    chosen = estimate_covariance(scan["kspace"].values, np.ones(SHAPE, bool))
    assert power_ratio(chosen, true) == pytest.approx(1, abs=0.1)


def test_air_that_the_receiver_has_quietened_does_not_win():
    """A readout filter that falls off towards the ends of the field of view."""
    rng = np.random.default_rng(7)
    n = rng.standard_normal((1, 2, 128, 128)) + 1j * rng.standard_normal((1, 2, 128, 128))
    x = np.linspace(-1, 1, 128)
    gain = 1 / np.sqrt(1 + (1.3 * x) ** 8)
    gain /= np.sqrt((gain**2).mean())
    kspace = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(n * gain, axes=-1), norm="ortho"), axes=-1)
    found = covariance_candidates(kspace, np.ones((128, 128), bool))
    truth = 2 * np.eye(2)
    assert power_ratio(found["air along kx"], truth) < 0.4, "no longer a test of anything"
    chosen = estimate_covariance(kspace, np.ones((128, 128), bool))
    assert power_ratio(chosen, truth) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("lines", [8, 16])
def test_one_coil_does_not_tell_signal_from_noise_by_its_patches(lines):
    """Central lines alone, as an acquisition begins with: only the air of the readout is noise."""
    scan = simulate_scan(head_phantom((128, 128), seed=4), 1, 30.0, seed=6)
    mask = np.zeros((128, 128), bool)
    mask[64 - lines // 2 : 64 + lines // 2] = True
    kspace = undersample(scan, mask)["kspace"].values
    assert "calibration" not in covariance_candidates(kspace, mask)
    level = estimate_covariance(kspace, mask)[0, 0].real ** 0.5
    assert 0.9 < level / scan.attrs["noise_std"] < 2


def test_zero_padding_is_left_out(scans):
    scan = scans[20.0]
    padded = np.pad(scan["kspace"].values, ((0, 0), (0, 0), (24, 24), (32, 32)))
    for mask in (padded[0, 0] != 0, np.ones(padded.shape[-2:], bool)):
        estimate = estimate_covariance(padded, mask)
        assert power_ratio(estimate, true_covariance(scan)) == pytest.approx(1, abs=0.1)


def test_noise_scan_is_used(scans):
    head = head_phantom((48, 48))
    scan = simulate_scan(
        head, COILS, 10, seed=1, noise_correlation=correlation(), noise_samples=8000
    )
    padded = np.pad(scan["noise"].values, ((0, 0), (0, 500)))
    estimate = estimate_covariance(scan["kspace"].values, np.ones((48, 48), bool), padded)
    error = np.linalg.norm(estimate - true_covariance(scan)) / np.linalg.norm(estimate)
    assert error < 0.05


def test_scale_and_coil_order_do_not_matter(scans):
    kspace = scans[20.0]["kspace"].values
    mask = np.ones(SHAPE, bool)
    plain = estimate_covariance(kspace, mask)
    np.testing.assert_allclose(estimate_covariance(kspace * 1e-6, mask), plain * 1e-12, rtol=1e-3)
    order = np.random.default_rng(0).permutation(COILS)
    shuffled = estimate_covariance(kspace[:, order], mask)
    assert np.abs(shuffled - plain[np.ix_(order, order)]).max() < 1e-6 * np.abs(plain).max()


def test_dead_coil(scans):
    kspace = scans[20.0]["kspace"].values.copy()
    kspace[:, 2] = 0
    estimate = estimate_covariance(kspace, np.ones(SHAPE, bool))
    assert not estimate[2].any()
    assert not estimate[:, 2].any()
    others = np.delete(np.arange(COILS), 2)
    ratio = np.diag(estimate)[others] / np.diag(true_covariance(scans[20.0]))[others]
    assert ratio.real.mean() == pytest.approx(1, abs=0.1)


def test_unusable_input(scans):
    kspace = scans[20.0]["kspace"].values
    with pytest.raises(InputError, match="mask has shape"):
        estimate_covariance(kspace, np.ones((3, 3), bool))
    with pytest.raises(InputError, match="too few samples"):
        estimate_covariance(np.zeros_like(kspace), np.ones(SHAPE, bool))
    with pytest.raises(InputError, match="noise scan has shape"):
        estimate_covariance(kspace, np.ones(SHAPE, bool), np.ones((3, 100)))
    with pytest.raises(InputError, match="noise scan holds 4 samples"):
        estimate_covariance(kspace, np.ones(SHAPE, bool), np.ones((COILS, 4)))


def test_air_is_chosen_and_measured_on_different_lines():
    # Of a few lines the quietest window is quiet by chance: measured there, noise of variance 1
    # would seem to have 0.8.
    rng = np.random.default_rng(6)
    power = []
    for _ in range(60):
        n = rng.standard_normal((1, 8, 128)) + 1j * rng.standard_normal((1, 8, 128))
        air = _air(n / np.sqrt(2), np.ones((8, 128), bool))
        power.append(np.mean(np.abs(air.samples) ** 2))
    assert np.mean(power) == pytest.approx(1, abs=0.04)


def limb(shape=(64, 56)):
    """An object that reaches all four edges of the field of view, with sharp edges inside."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    image = 0.6 + 0.2 * np.sin(5 * y + 3 * x) * np.cos(4 * x)
    image[np.hypot(y - 0.2, x + 0.1) < 0.35] = 0.1
    image[np.hypot(y + 0.5, x - 0.4) < 0.2] = 1.0
    return image.astype(np.float32)


def level_of(psi):
    return float(np.sqrt(np.diag(psi).real.mean()))


def doubt_of(kspace, mask):
    return noise_doubt(covariance_candidates(kspace, mask), float(np.abs(kspace).max()))


@pytest.mark.parametrize(("coils", "snr"), [(8, 30.0), (6, 40.0), (12, 40.0)])
def test_an_object_without_air_shows_its_noise_between_the_coils(coils, snr):
    # Border and air hold signal: 2 to 10 times the noise.
    scan = simulate_scan(limb(), coils, snr, seed=4)
    mask = make_mask("random", (64, 56), 3, 12, seed=1)
    kspace = undersample(scan, mask)["kspace"].values
    assert level_of(estimate_covariance(kspace, mask)) == pytest.approx(
        scan.attrs["noise_std"], rel=0.25
    )
    assert doubt_of(kspace, mask) is None


def test_signal_in_border_and_air_is_no_agreement():
    # With six coils at 40 dB both were 6 times too high, and within a tenth of each other.
    scan = simulate_scan(limb(), 6, 40.0, seed=4)
    kspace = scan["kspace"].values
    assert not any("air" in name for name in covariance_candidates(kspace, np.ones((64, 56), bool)))


def test_strongly_correlated_coils():
    psi = 0.1 * np.eye(COILS) + 0.9
    head = head_phantom(SHAPE, seed=2, contrast="t2")
    scan = simulate_scan(head, COILS, 30.0, seed=3, noise_correlation=psi)
    mask = make_mask("random", SHAPE, 4, 16, seed=1)
    candidates = covariance_candidates(undersample(scan, mask)["kspace"].values, mask)
    true = scan.attrs["noise_std"]
    assert level_of(candidates["calibration"]) == pytest.approx(true, rel=0.12)
    chosen = estimate_covariance(undersample(scan, mask)["kspace"].values, mask)
    np.testing.assert_allclose(chosen, psi * true**2, atol=0.08 * true**2)


def test_one_coil_without_air_is_doubted():
    scan = simulate_scan(limb(), 1, 30.0, seed=4)
    mask = make_mask("random", (64, 56), 3, 12, seed=1)
    kspace = undersample(scan, mask)["kspace"].values
    assert "Nothing in the scan shows its noise alone" in doubt_of(kspace, mask)


@pytest.mark.parametrize("coils", [1, COILS])
def test_a_head_with_air_is_not_doubted(coils):
    scan = simulate_scan(head_phantom(SHAPE, seed=2, contrast="t2"), coils, 30.0, seed=3)
    mask = make_mask("random", SHAPE, 4, 16, seed=1)
    kspace = undersample(scan, mask)["kspace"].values
    assert doubt_of(kspace, mask) is None
    assert level_of(estimate_covariance(kspace, mask)) == pytest.approx(
        scan.attrs["noise_std"], rel=0.07
    )


def hann(shape):
    y, x = (np.hanning(n + 2)[1:-1] for n in shape)
    return np.maximum(np.outer(y, x), 1e-3)


def test_filtered_data_are_named_and_have_the_level_of_their_centre(scans):
    scan = scans[30.0]
    kspace, mask = scan["kspace"].values * hann(SHAPE), np.ones(SHAPE, bool)
    assert "filtered" in doubt_of(kspace, mask)
    assert level_of(estimate_covariance(kspace, mask)) == pytest.approx(
        scan.attrs["noise_std"], rel=0.25
    )


def test_rounding_errors_are_no_noise(scans):
    # Padded images have empty air, interpolated ones an empty border.
    kspace = scans[30.0]["kspace"].values[0]
    padded = fft2c(np.pad(ifft2c(kspace), ((0, 0), (40, 40), (36, 36))).astype(np.complex64))
    mask = np.ones(padded.shape[1:], bool)
    true = scans[30.0].attrs["noise_std"] * np.sqrt(kspace[0].size / padded[0].size)
    assert 0.5 * true < level_of(estimate_covariance(padded, mask)) < 5 * true
    assert doubt_of(padded, mask) is not None
    wide = np.pad(kspace, ((0, 0), (40, 40), (36, 36)))
    wide = fft2c(ifft2c(wide).astype(np.complex64)).astype(np.complex64)
    assert level_of(estimate_covariance(wide, mask)) == pytest.approx(
        scans[30.0].attrs["noise_std"], rel=0.25
    )
    assert doubt_of(wide, mask) is not None


def test_no_noise_at_all_is_named(scans):
    scan = simulate_scan(head_phantom(SHAPE, seed=2, contrast="t2"), 4, 400.0, seed=3)
    clean = fft2c(ifft2c(scan["kspace"].values[0])).astype(np.complex64)
    assert "rounding errors" in doubt_of(clean, np.ones(SHAPE, bool)) or "alone" in doubt_of(
        clean, np.ones(SHAPE, bool)
    )


def test_a_readout_filter_takes_noise_at_the_ends_of_the_field_of_view():
    # The ends have .3 of it: one coil has no third witness, and signal only adds.
    scan = simulate_scan(head_phantom(SHAPE, seed=2, contrast="t2"), 1, 30.0, seed=3)
    image = ifft2c(scan["kspace"].values[0])
    along = np.clip(1.3 - np.abs(np.linspace(-1, 1, SHAPE[1])) ** 4, 0.3, 1)
    level = level_of(estimate_covariance(fft2c(image * along), np.ones(SHAPE, bool)))
    assert level == pytest.approx(scan.attrs["noise_std"], rel=0.15)


@pytest.mark.parametrize(
    ("border", "calibration", "chosen"),
    [
        (2.2, 2.8, "border"),  # two coils: calibration holds signal
        (5.0, 2.8, "calibration"),  # signal in the border
        (1.0, 2.8, "calibration"),  # a filter
    ],
)
def test_the_border_beside_calibration_alone(border, calibration, chosen):
    levels = {"border": 2 * np.log(border), "calibration": 2 * np.log(calibration)}
    assert _choose(levels) == chosen
