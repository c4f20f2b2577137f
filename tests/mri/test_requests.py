"""`sciddm.mri`: the same bits as the command line, options that do not fit, and scores."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import xarray as xr
from typer.testing import CliRunner

import sciddm
from sciddm.data_adapters import load_result, open_kspace, save_kspace
from sciddm.data_adapters.mri.bart import read_bart_image
from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError, OptionError, OutputError
from sciddm.networks import build_network
from sciddm.pipelines.cli import app
from sciddm.process import process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan
from sciddm.zoo import save_model

SHAPE = (40, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    denoiser = NetworkDenoiser(build_network(config), process, data_std=0.6, complex_data=True)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_model(denoiser, folder, card={"name": "tiny"})
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    head = np.reshape(head_phantom(SHAPE, seed=3, contrast="t2"), SHAPE)
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    save_kspace(simulate_scan(head, 14, 30.0, seed=1, voxel_size_mm=(5.0, 2.0, 1.5)), path)
    return path


def test_python_and_the_command_line_give_the_same_bits(model, scan, tmp_path):
    """With undersampling and coil compression, which both do within the pipeline."""
    options = {"undersample": 2.0, "acs": 12, "quality": "fast", "seed": 3, "model": str(model)}
    words = [f"--{name}={value}" for name, value in options.items()]
    target = tmp_path / "a.h5"
    arguments = ["mri", "reconstruct", str(scan), "-o", str(target), *words]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.stderr
    there, here = load_result(target), sciddm.mri.reconstruct(scan, **options)
    for name in ("reconstruction", "std", "zero_filled", "residual", "reference"):
        np.testing.assert_array_equal(here.data[name], there[name], err_msg=name)
    np.testing.assert_array_equal(here.estimate["x"], (np.arange(32) - 16) * 1.5)
    assert here.estimate["x"].attrs["units"] == "mm"
    assert here.attrs["request"] == there.attrs["request"]
    assert here.verdict.fits.answer == "yes"
    assert here.facts["psnr_volume_db"].value > 10
    page = here.page()
    assert "Sampling mask" in page
    in_memory = sciddm.mri.reconstruct(sciddm.open(scan, "mri"), **options)
    np.testing.assert_array_equal(in_memory.estimate, here.estimate)


def test_undersampling_then_reconstructing_is_one_step(model, scan):
    options = {"quality": "fast", "model": str(model), "seed": 4}
    under = sciddm.mri.undersample(scan, undersample=2, acs=12, seed=4)
    assert under.facts["acceleration"].value == pytest.approx(2)
    two = sciddm.mri.reconstruct(under.data.drop_vars("estimate"), **options)
    one = sciddm.mri.reconstruct(scan, undersample=2, acs=12, **options)
    np.testing.assert_array_equal(one.estimate, two.estimate)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"acs": 8}, "acs"),
        ({"undersample": 0.5}, "undersample"),
        ({"noise_std": 0.0}, "noise_std"),
        ({"samples": 1}, "samples"),
        ({"select": ("repetition",)}, "select"),
        ({"maps": Path("no.h5")}, "maps"),
    ],
)
def test_options_that_do_not_fit_are_named(scan, options, name):
    with pytest.raises(OptionError) as error:
        sciddm.mri.reconstruct(scan, **options)
    assert name in str(error.value)


def test_frames_are_selected_by_name(scan):
    with pytest.raises(InputError, match="no repetitions or other frames"):
        sciddm.mri.undersample(scan, select=("repetition=0..2", "contrast=1"))


def image(values: np.ndarray, **more: np.ndarray) -> xr.Dataset:
    dims = ("slice", "y", "x")
    variables = {"reconstruction": values, **more}
    data = {name: (dims, v.astype(np.float32)) for name, v in variables.items()}
    return xr.Dataset(data, attrs={"samples": 4})


def test_scores_are_those_of_the_definitions_and_the_larger_image_is_cut():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 1, (2, 24, 20))
    error = 0.02 * rng.standard_normal(truth.shape)
    wide = np.pad(truth + error, ((0, 0), (4, 4), (2, 2)), constant_values=9.0)
    std = np.pad(np.full(truth.shape, 0.02), ((0, 0), (4, 4), (2, 2)))
    scores = sciddm.mri.evaluate(image(truth), image(wide, std=std))
    [score] = scores.scores
    truth = truth.astype(np.float32).astype(float)
    found = wide.astype(np.float32).astype(float)[:, 4:-4, 2:-2]
    mse = ((found - truth) ** 2).mean()
    assert score.values["psnr_volume_db"] == pytest.approx(10 * np.log10(truth.max() ** 2 / mse))
    assert score.values["nmse_volume"] == pytest.approx(mse / (truth**2).mean())
    # Student's t of 3 degrees at 90 %, 2.353, times sqrt(5/4): 2.63 standard deviations.
    assert score.values["coverage_90"] == pytest.approx(0.9915, abs=0.01)
    doubled = sciddm.mri.evaluate(image(truth), image(2 * wide, std=2 * std), fit_scale=True)
    assert doubled.scores[0].values["nmse_volume"] == pytest.approx(
        score.values["nmse_volume"], rel=0.01
    )


def test_images_that_cannot_be_compared_are_told():
    wrong = sciddm.mri.evaluate(image(np.ones((1, 24, 20))), image(np.ones((1, 20, 24))))
    assert "compare images of one scan" in wrong.scores[0].error


def test_full_k_space_is_a_reference(model, scan, tmp_path):
    result = sciddm.mri.reconstruct(
        scan, undersample=2, acs=12, quality="fast", model=str(model), seed=0
    )
    result.save(tmp_path / "a.nii.gz")
    values = sciddm.mri.evaluate(scan, tmp_path / "a.nii.gz").scores[0].values
    assert values["psnr_volume_db"] == pytest.approx(result.facts["psnr_volume_db"].value, abs=1e-3)
    assert 0 <= values["coverage_90"] <= 1


def test_the_phase_is_written_where_there_is_a_place_for_it(model, scan, tmp_path):
    result = sciddm.mri.reconstruct(
        scan, undersample=2, acs=12, quality="fast", model=str(model), output_phase=True
    )
    image = result.data["complex_image"].values
    np.testing.assert_allclose(np.abs(image), result.estimate, rtol=1e-5)
    assert np.abs(np.angle(image)).max() > 0.5
    written = result.save(tmp_path / "a.nii.gz")
    assert {p.name for p in written} == {"a.nii.gz", "a_phase.nii.gz", "a_std.nii.gz", "a.json"}
    phase = nib.load(tmp_path / "a_phase.nii.gz").get_fdata()
    np.testing.assert_allclose(phase, np.angle(image).T, atol=1e-6)
    result.save(tmp_path / "b.cfl")
    np.testing.assert_allclose(read_bart_image(tmp_path / "b.cfl"), image, rtol=1e-6)
    np.testing.assert_allclose(
        load_result(tmp_path / "b.cfl")["reconstruction"], np.abs(image), rtol=1e-5
    )
    result.save(tmp_path / "c.h5")
    np.testing.assert_array_equal(load_result(tmp_path / "c.h5")["complex_image"], image)
    with pytest.raises(OutputError, match="phase"):
        result.save(tmp_path / "series")


def test_dicom_output_names_the_patient_of_the_scan_and_nothing_else_does(model, scan, tmp_path):
    scan = open_kspace(scan)
    scan.encoding["dicom"] = {"PatientID": "P-17", "StudyInstanceUID": "1.2.3"}
    result = sciddm.mri.reconstruct(
        scan, undersample=2, acs=12, quality="fast", model=str(model), seed=0
    )
    result.save(tmp_path / "series")
    header = pydicom.dcmread(next((tmp_path / "series").glob("*.dcm")))
    assert (header.PatientID, header.StudyInstanceUID) == ("P-17", "1.2.3")
    assert "P-17" not in (tmp_path / "series.json").read_text()


def test_the_noise_map_and_the_g_factor_are_written_where_there_is_a_place(model, scan, tmp_path):
    options = {"undersample": 2, "acs": 12, "quality": "fast", "model": str(model)}
    result = sciddm.mri.reconstruct(scan, output_noise_map=True, **options)
    noise, factor = (result.data[name].values for name in ("noise_map", "g_factor"))
    level = result.data.attrs["noise_std"]
    inside = factor > 0
    # The noise of the fully sampled image is the level but for the coils' own.
    assert np.median(noise[inside] / factor[inside]) == pytest.approx(2**0.5 * level, rel=0.3)
    written = {p.name for p in result.save(tmp_path / "a.nii.gz")}
    assert written == {
        "a.nii.gz", "a_noise.nii.gz", "a_gfactor.nii.gz", "a_std.nii.gz", "a.json",
    }  # fmt: skip
    image = nib.load(tmp_path / "a_gfactor.nii.gz").get_fdata()
    np.testing.assert_allclose(image, factor.T, atol=1e-6)
    result.save(tmp_path / "c.h5")
    np.testing.assert_array_equal(load_result(tmp_path / "c.h5")["noise_map"], noise)
    with pytest.raises(OutputError, match="noise map"):
        result.save(tmp_path / "b.cfl")
