"""Scenes in, scenes out: tiles, clusters, types, and what is left as it was."""

from __future__ import annotations

import json
from concurrent.futures import CancelledError
from pathlib import Path
from typing import ClassVar

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciddm.data_adapters.hsi import build_cube, open_cube
from sciddm.data_adapters.hsi.result import load_denoised, result_outputs, save_denoised
from sciddm.errors import InputError, ModelError
from sciddm.metrics import spectral as metrics
from sciddm.physics.spectral.flags import Flag
from sciddm.pipelines.hsi import HyperspectralDenoising, cluster
from sciddm.pipelines.hsi.methods import Estimate, Fitted, Method
from sciddm.simulation.hsi import noise


def mixed(bands=16, shape=(70, 81), materials=3):
    rng = np.random.default_rng(0)
    fields = np.stack([gaussian_filter(rng.standard_normal(shape), 3) for _ in range(materials)])
    abundance = np.exp(8 * fields)
    abundance /= abundance.sum(axis=0)
    walk = gaussian_filter(rng.standard_normal((materials, bands)), (0, 4))
    return np.tensordot((0.5 + 0.35 * walk / np.abs(walk).max()).T, abundance, 1)


def scene_of(values, **attrs):
    lazy = da.from_array(values, chunks=(len(values), 16, values.shape[2]))
    wavelength = 900 + 10.0 * np.arange(len(values))
    return build_cube(
        Path("scene.hdr"), lazy, form="test", wavelength=wavelength, units="nm", attrs=attrs
    )


@pytest.fixture(scope="module")
def broken():
    """Noise, a few stripes, and dead pixels."""
    noisy = noise.add_gaussian(mixed(), 0.03, np.random.default_rng(1))
    noisy = noise.add_stripes(noisy, np.random.default_rng(2)).cube
    return noise.add_impulses(noisy, np.random.default_rng(3), bands=[4, 9], amounts=[0.03]).cube


class Blur(Method):
    """A method that looks 5 pixels far, with a standard deviation that says where it is."""

    name = "blur"
    has_std = True

    def __init__(self, offset=0.0):
        self.offset = offset
        self.provenance = {"model": "none"}

    def fit(self, statistics):
        return FittedBlur(self.offset, statistics.noise)


class FittedBlur(Fitted):
    halo = 5

    def __init__(self, offset, noise):
        self.offset, self.noise = offset, noise
        self.attributes = {"method": "blur"}

    def apply(self, tile, seed=0, progress=None):
        smooth = gaussian_filter(tile.values, (0, 1.0, 1.0), mode="mirror", radius=(0, 5, 5))
        values = smooth + np.float32(self.offset) * self.noise[:, None, None].astype(np.float32)
        y, x = np.mgrid[: values.shape[1], : values.shape[2]]
        place = (tile.origin[0] + y) + 1000.0 * (tile.origin[1] + x) + seed
        std = np.broadcast_to(place.astype(np.float32), values.shape)
        found, spread = tile.inner(values), tile.inner(std)
        return Estimate(found, spread, {"nfe": 3, "size": values.shape[1]})


def denoised(cube, method, **options):
    return HyperspectralDenoising(method)(scene_of(cube), **options)


@pytest.mark.parametrize("method", ["lowrank", Blur()])
def test_tiles_give_what_the_whole_gives(broken, method):
    whole = denoised(broken, method)
    tiled = denoised(broken, method, tile=32)
    assert (whole.attrs["tiles"], tiled.attrs["tiles"]) == (1, 9)
    np.testing.assert_allclose(tiled["cube"], whole["cube"], atol=1e-5)
    np.testing.assert_allclose(tiled.attrs["residual"], whole.attrs["residual"], rtol=1e-4)
    if "std" in whole:
        np.testing.assert_array_equal(tiled["std"], whole["std"])
        expected = np.arange(70)[:, None] + 1000.0 * np.arange(81)
        np.testing.assert_array_equal(tiled["std"][3], expected)
    assert metrics.psnr(tiled["cube"].values, mixed()) > metrics.psnr(broken, mixed()) + 2


def test_one_worker_two_workers_and_none(broken):
    distributed = pytest.importorskip("distributed")
    results = [denoised(broken, Blur(), tile=32, seed=3)]
    for workers in (1, 2):
        with distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            protocol="inproc://",
        ) as cluster:
            address = cluster.scheduler_address
            results.append(denoised(broken, Blur(), tile=32, seed=3, scheduler=address))
    for result in results[1:]:
        np.testing.assert_array_equal(result["cube"], results[0]["cube"])
        np.testing.assert_array_equal(result["std"], results[0]["std"])
        assert result.attrs == results[0].attrs


def test_nobody_answers(broken):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no dask scheduler answers"):
        denoised(broken, "lowrank", scheduler="tcp://127.0.0.1:9")


def test_what_holds_nothing_stays_as_it_was(broken):
    counts = np.round(1e4 * broken).astype(np.int16)
    counts[:, :6, :] = -99
    counts[3] = 0
    counts[5, 40, 40] = -99
    scene = scene_of(counts, nodata=-99.0)
    kept = HyperspectralDenoising("lowrank")(scene)
    assert kept["cube"].values[5, 40, 40] == -99
    assert (kept["flags"].values == Flag.GAP).sum() == 1
    result = HyperspectralDenoising("lowrank")(scene, fill=True)
    assert result["flags"].values[5, 40, 40] == Flag.FILLED
    assert (result["flags"].values[3] == Flag.OUTSIDE).all()
    out = result["cube"].values
    assert out.dtype == np.int16
    np.testing.assert_array_equal(out[:, :6], counts[:, :6])
    np.testing.assert_array_equal(out[3], counts[3])
    inside = np.delete(out[:, 6:], 3, axis=0)
    assert (inside != -99).all()  # the dead pixel is filled in
    truth = 1e4 * np.delete(mixed()[:, 6:], 3, axis=0)
    assert np.abs(inside - truth).mean() < 150
    assert result.attrs["empty_bands"] == [3]
    assert np.isnan(result.attrs["noise_std"][3])
    assert "930 nm" in json.loads(result.attrs["warnings"])[0]
    np.testing.assert_array_equal(result["noisy"], counts)
    assert result["wavelength"].values.tolist() == scene["wavelength"].values.tolist()


def test_nodata_is_never_made_up():
    """An estimate that happens to be the mark for nothing moves by one."""
    rng = np.random.default_rng(0)
    counts = np.round(100 + 2 * rng.standard_normal((4, 20, 20))).astype(np.int16)
    scene = scene_of(counts, nodata=100.0)
    result = HyperspectralDenoising("tv")(scene, noise_std=50.0, fill=True)
    outside = (counts == 100).all(axis=0)
    out = result["cube"].values
    assert not (out[:, ~outside] == 100).any()
    assert (out[:, ~outside] == 101).mean() > 0.3


def test_integers_are_rounded_and_kept_within_their_type():
    rng = np.random.default_rng(0)
    counts = np.clip(np.round(250 + 8 * rng.standard_normal((4, 20, 20))), 0, 255).astype(np.uint8)
    result = HyperspectralDenoising(Blur(offset=2.0))(scene_of(counts), noise_std=50.0)
    assert result["cube"].dtype == np.uint8
    assert (result["cube"].values == 255).all()


def test_an_estimate_that_the_noise_does_not_explain(broken):
    fine = denoised(broken, "lowrank")
    assert not fine.attrs["contradicts"]
    assert 0.7 < fine.attrs["consistency"] < 1.1
    assert json.loads(fine.attrs["warnings"]) == []
    off = denoised(broken, Blur(offset=3.0))
    assert off.attrs["contradicts"]
    assert "contradicts the data" in json.loads(off.attrs["warnings"])[0]
    assert off.attrs["model"] == "none"
    assert off.attrs["nfe"] == 3


class Moved(Method):
    """Every value moved by so many standard deviations of the noise, and an error of as many."""

    name = "moved"
    has_std = True
    provenance: ClassVar = {"model": "none"}

    def __init__(self, offset, std):
        self.offset, self.std = offset, std

    def fit(self, statistics):
        return FittedMoved(self.offset, self.std, statistics.noise)


class FittedMoved(Fitted):
    halo = 0

    def __init__(self, offset, std, noise):
        self.offset, self.std = offset, std
        self.noise = noise[:, None, None].astype(np.float32)
        self.attributes = {"method": "moved"}

    def apply(self, tile, seed=0, progress=None):
        values = tile.inner(tile.values) + np.float32(self.offset) * self.noise
        std = np.broadcast_to(np.float32(self.std) * self.noise, values.shape)
        return Estimate(values, std, {"nfe": 0})


def test_the_residual_is_that_of_draws_about_the_estimate():
    # E|y - x|^2 = |y - mean|^2 + std^2: in units of the noise, 0.6^2 + 0.8^2 = 1.
    clean = mixed(shape=(40, 41))
    cube = noise.add_gaussian(clean, 0.03, np.random.default_rng(1)).astype(np.float32)
    result = denoised(cube, Moved(0.6, 0.8))
    np.testing.assert_allclose(result.attrs["residual"], 1.0, rtol=1e-3)
    assert result.attrs["consistency"] == pytest.approx(1.0, rel=1e-3)
    result = denoised(cube, Moved(0.6, 0.0))
    assert result.attrs["consistency"] == pytest.approx(0.6, rel=1e-3)


def test_the_noise_a_user_states(broken):
    result = denoised(broken, "lowrank", noise_std=0.03)
    assert result.attrs["noise_std"] == [0.03] * 16
    assert not result.attrs["noise_estimated"]
    blind = denoised(broken, "lowrank")
    gain = [metrics.psnr(r["cube"].values, mixed()) for r in (result, blind)]
    assert abs(gain[0] - gain[1]) < 0.3


def test_unknown_methods_and_models(broken):
    with pytest.raises(InputError, match="unknown method magic"):
        denoised(broken, "magic")
    with pytest.raises(ModelError):
        HyperspectralDenoising.from_pretrained("no-such-model")
    with pytest.raises(ModelError, match="no model for hyperspectral cubes"):
        HyperspectralDenoising.from_pretrained("mri-brain")


@pytest.mark.parametrize("suffix", [".hdr", ".tif", ".nc", ".zarr", ".npz"])
@pytest.mark.parametrize("spread", [False, True])
def test_results_round_trip(broken, tmp_path, suffix, spread):
    crs = "EPSG:32611"
    transform = [20.0, 0.0, 5e5, 0.0, -20.0, 3.7e6]
    scene = scene_of(broken.astype(np.float32), crs=crs, transform=transform, nodata=-9999.0)
    result = HyperspectralDenoising(Blur() if spread else "lowrank")(scene)
    path = tmp_path / f"clean{suffix}"
    held = result if spread else result.drop_vars("std", errors="ignore")
    save_denoised(held, path)
    assert {p.name for p in tmp_path.iterdir()} == {
        p.name for p in result_outputs(path, spread=spread)
    }
    back = load_denoised(path)
    np.testing.assert_array_equal(back["cube"], result["cube"])
    np.testing.assert_array_equal(back["flags"], result["flags"])
    layer = open_cube(path.with_name(f"clean_flags{suffix}"))
    assert layer["cube"].dtype == np.uint8
    assert "64 outlier" in layer.attrs["description"]
    np.testing.assert_allclose(back["wavelength"], scene["wavelength"])
    assert back.attrs["nodata"] == -9999 or suffix == ".npz"
    for key in ("method", "seed", "consistency", "empty_bands", "sciddm_version"):
        assert back.attrs[key] == result.attrs[key]
    np.testing.assert_array_equal(back.attrs["noise_std"], result.attrs["noise_std"])
    assert ("std" in back) == spread
    if spread:
        np.testing.assert_array_equal(back["std"], result["std"])
        alone = open_cube(path.with_name(f"clean_std{suffix}"))
        assert alone["cube"].dtype == np.float32
        assert list(alone.attrs["transform"]) == transform
        # Without a standard deviation an old one does not stay beside the new result.
        save_denoised(held.drop_vars("std"), path, overwrite=True)
        assert "std" not in load_denoised(path)


class _Worker:
    """A client whose worker goes away with the data it holds, so many times."""

    def __init__(self, losses):
        self.losses, self.sent = losses, 0

    def scatter(self, value, **options):
        return value

    def submit(self, call, *arguments, **options):
        self.sent += 1
        return self._Future(self, call, arguments)

    class _Future:
        def __init__(self, client, call, arguments):
            self.client, self.call, self.arguments = client, call, arguments

        def result(self):
            if self.client.losses:
                self.client.losses -= 1
                raise CancelledError("lost dependencies")
            return self.call(*self.arguments)


def test_a_worker_that_is_lost_costs_time_only():
    client = _Worker(losses=2)
    assert list(cluster._spread(client, lambda n: n * n, range(5), 2)) == [0, 1, 4, 9, 16]
    assert client.sent == 7
    with pytest.raises(CancelledError):
        list(cluster._spread(_Worker(losses=10), lambda n: n, range(2), 1))

    def broken(n):
        raise ValueError("its own")

    client = _Worker(losses=0)
    with pytest.raises(ValueError, match="its own"):
        list(cluster._spread(client, broken, range(2), 1))
    assert client.sent == 1
