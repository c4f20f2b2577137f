"""What decides a result happens in the pipeline: options, references, calibration lines, noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.acceleration import NO_PLAN, Plan, use
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.metrics.volume import psnr_volume
from sciddm.networks import build_network
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri.describe import facts
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.process import process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample

SHAPE = (48, 40)


@pytest.fixture(scope="module")
def pipeline() -> MRIReconstruction:
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    denoiser = NetworkDenoiser(build_network(config), process, data_std=0.6, complex_data=True)
    return MRIReconstruction(denoiser)


def full_scan(coils: int = 4) -> xr.Dataset:
    head = np.reshape(head_phantom(SHAPE, seed=3, contrast="t2"), SHAPE)
    return simulate_scan(head, coils, 30.0, seed=1, voxel_size_mm=(5.0, 2.0, 1.5))


def test_undersampling_in_the_pipeline_is_that_of_the_scan_before(pipeline):
    scan = full_scan()
    mask = make_mask("equispaced", SHAPE, 2, 12, seed=4)
    before = pipeline(undersample(scan, mask), quality="fast", seed=4)
    within = pipeline(scan, quality="fast", seed=4, undersample=2, mask="equispaced", acs=12)
    np.testing.assert_array_equal(within["reconstruction"], before["reconstruction"])
    assert within.attrs["mask_axis"] == "ky"
    along = scan.assign_attrs(phase_encoding_axis="kx")
    turned = pipeline(along, quality="fast", undersample=2, acs=12)
    assert turned.attrs["mask_axis"] == "kx"
    seen = np.isfinite(turned["residual"].values[0])
    assert (seen == seen[:1]).all()


def test_coils_are_compressed_in_the_pipeline(pipeline):
    result = pipeline(full_scan(6), quality="fast", coils=3)
    assert (result.attrs["coils"], result.attrs["coils_measured"]) == (3, 6)


def test_a_reference_of_another_matrix_is_compared_with_the_middle_of_the_image(pipeline):
    scan = full_scan()
    image = pipeline(scan, quality="fast", seed=0)["reconstruction"].values
    small = image[:, 8:40, 4:36] * 1.01
    reference = xr.DataArray(small, dims=("slice", "y", "x"))
    result = pipeline(scan.assign(reference=(("slice", "v", "w"), small)), quality="fast", seed=0)
    assert result["reference"].shape == (1, 32, 32)
    wanted = psnr_volume(image[:, 8:40, 4:36], reference.values)
    assert facts(result)["psnr_volume_db"].value == pytest.approx(wanted)


def test_a_full_scan_is_compared_with_its_coil_combination_not_with_a_noise_floor(pipeline):
    scan = full_scan()
    head = np.reshape(head_phantom(SHAPE, seed=3, contrast="t2"), (1, *SHAPE))
    floor = scan.assign(reference=(("slice", "y", "x"), head + 0.3)).assign_attrs(
        reference_combination="root sum of squares"
    )
    result = pipeline(floor, quality="fast")
    assert result.attrs["reference_combination"] == "coil sensitivities"
    assert facts(result)["zero_filled_psnr_volume_db"].value > 35


@pytest.mark.parametrize("keep_samples", [False, True])
def test_pure_noise_gives_an_image_of_0_and_says_so(pipeline, keep_samples):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 1, 4, 64, 64))
    scan = xr.Dataset(
        {"kspace": (("slice", "coil", "ky", "kx"), (noise[0] + 1j * noise[1]).astype("c8"))}
    )
    result = pipeline(scan, quality="fast", keep_samples=keep_samples)
    assert not result["reconstruction"].values.any()
    np.testing.assert_allclose(result["std"], 2**0.5, rtol=0.1)
    assert "nothing but noise" in json.loads(result.attrs["warnings"])[0]
    assert result.attrs["verdict_fits"] == "not checked"
    assert result["residual"].mean() == pytest.approx(1, abs=0.1)
    assert ("samples" in result) is keep_samples


def test_maps_come_from_calibration_lines_where_the_scan_has_them(pipeline):
    scan = full_scan()
    every_other = np.zeros(SHAPE, bool)
    every_other[::2] = True
    lines = np.zeros(SHAPE, bool)
    lines[12:36] = True
    apart = undersample(scan, every_other).drop_vars("reference", errors="ignore")
    with pytest.raises(InputError, match="no calibration region"):
        pipeline(apart, quality="fast")
    # Measured apart, with a contrast and phase of their own.
    own = 0.7j * scan["kspace"].values * lines
    apart = apart.assign(calibration=(("slice", "coil", "ky", "kx"), own))
    result = pipeline(apart, quality="fast")
    assert result.attrs["verdict_fits"] == "yes", result.attrs["verdict"]
    again = pipeline(apart, quality="fast", coils=3)
    assert again.attrs["coils"] == 3


def test_coordinates_are_in_mm_about_the_middle(pipeline):
    result = pipeline(full_scan(), quality="fast")
    np.testing.assert_allclose(result["y"], (np.arange(48) - 24) * 2.0)
    np.testing.assert_allclose(result["x"], (np.arange(40) - 20) * 1.5)
    assert result["x"].attrs["units"] == "mm"
    unknown = full_scan().assign_attrs(voxel_size_mm=[float("nan")] * 3)
    assert "x" not in pipeline(unknown, quality="fast").coords


def test_frames_keep_their_names(pipeline):
    one = full_scan()
    both = xr.concat([one, one], dim="slice").assign_attrs(one.attrs, slices_per_frame=1)
    result = pipeline(both.assign_coords(repetition=("slice", [0, 3])), quality="fast")
    assert result["repetition"].values.tolist() == [0, 3]
    assert result.attrs["slices_per_frame"] == 1
    assert "slice" not in result.coords


def test_a_remark_of_the_reader_is_a_warning(pipeline):
    scan = full_scan().assign_attrs(scan_remarks=["A ghost may be there."])
    assert "A ghost may be there." in json.loads(pipeline(scan, quality="fast").attrs["warnings"])


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 48, 40), "maps of 3 coils"),
        ((4, 40, 48), "maps of 40 x 48"),
        ((2, 4, 48, 40), "of 2 slices"),
    ],
)
def test_maps_that_do_not_fit_are_named(pipeline, shape, words):
    with pytest.raises(InputError, match=words):
        pipeline(full_scan(), quality="fast", maps=np.ones(shape, np.complex64))


def test_the_std_of_a_result_is_that_of_its_scan(pipeline, monkeypatch):
    """Wider by what kept-out lines lack; the image stays."""
    scan = simulate_scan(head_phantom((64, 56)), 4, seed=1)
    options = {"undersample": 2, "acs": 12, "quality": "fast"}
    plain = pipeline(scan, **options)
    where = "sciddm.pipelines.mri.pipeline.scan_widening"
    monkeypatch.setattr(where, lambda predictions: 1.5 if predictions else 0.0)
    wide = pipeline(scan, **options)
    lacking = float(plain.attrs["std_widening"])
    np.testing.assert_allclose(wide["std"], 1.5 / lacking * plain["std"], rtol=1e-3)
    np.testing.assert_array_equal(wide["reconstruction"], plain["reconstruction"])
    assert wide.attrs["std_widening"] == 1.5


def test_without_acceleration_a_plan_changes_no_bit_and_with_it_the_plan_is_followed():
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    network = build_network(config)
    for parameter in network.parameters():
        parameter.detach().normal_(0, 0.05)
    denoiser = NetworkDenoiser(network, process, data_std=0.6, complex_data=True)
    pipeline = MRIReconstruction(denoiser.requires_grad_(False))
    scan = undersample(full_scan(), make_mask("equispaced", SHAPE, 2, 12, seed=4))

    def run(plan: Plan, quality: str = "fast") -> xr.Dataset:
        denoiser.plan = plan
        return pipeline(scan, quality=quality)

    plan = Plan(norm_silu=True, settings={"fast": {"krylov": 2, "precondition": 3}})
    today = run(NO_PLAN)
    followed = run(plan)
    with use("none"):
        switched_off = run(plan)
    for name in ("reconstruction", "std"):
        np.testing.assert_array_equal(switched_off[name], today[name])
        assert not np.array_equal(followed[name], today[name])
    assert followed.attrs["krylov"] == 2
    assert switched_off.attrs == today.attrs
    rounding = run(Plan(norm_silu=True))["reconstruction"]
    np.testing.assert_allclose(rounding, today["reconstruction"], rtol=1e-3, atol=1e-3)
