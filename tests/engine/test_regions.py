"""Intervals of what is read from an image, and the regions of a mask."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciddm.data_adapters.nifti import read_nifti, write_nifti
from sciddm.data_adapters.save import result_outputs, save_result
from sciddm.errors import InputError, OptionError
from sciddm.pipelines.engine.commands import domain_app
from sciddm.pipelines.engine.domain import Domain
from sciddm.pipelines.engine.intervals import FIELD
from sciddm.pipelines.engine.regions import Grid
from sciddm.pipelines.engine.report.page import Report, Verdict
from sciddm.pipelines.engine.request import ImageRequest
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.target import Target
from sciddm.pipelines.engine.verb import Transform
from sciddm.uncertainty.error_field import ErrorField

WHITE = ErrorField((0.0,), (1.0,))
SHARED = ErrorField((0.0, math.inf), (0.75, 0.25), source="measured here")
AFFINE = [[-2.0, 0, 0, 5], [0, 2, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]]


class Copy(ImageRequest):
    """Give a volume back, with a standard deviation of 2."""


def copied(volume, request, context):
    return xr.Dataset(
        {
            "image": (("z", "y", "x"), volume.values),
            "std": (("z", "y", "x"), 0 * volume.values + 2),
        },
        attrs={**volume.attrs, FIELD: SHARED.attribute(), "warnings": "[]"},
    )


def page(data, result):
    return Report("Copy", "", Verdict("good", "Fine."), [], [], "sciddm image copy")


def verb(field=SHARED, each_layer=False, std="std"):
    def compute(volume, request, context):
        made = copied(volume, request, context)
        made = made.assign_attrs({FIELD: field.attribute() if field else ""})
        return made if std == "std" else made.drop_vars("std")

    return Transform(
        Copy,
        source=Source(lambda path, request: read_nifti(path), (".nii",), "Volumes."),
        compute=compute,
        target=Target(
            lambda path, request: result_outputs(path),
            lambda result, path, saving: save_result(
                result, saving.at[path], image="image", overwrite=True
            ),
            (".nii",),
        ),
        facts=lambda result: [],
        page=page,
        estimate="image",
        grid=lambda volume, request: Grid(volume.shape, volume.attrs),
        each_layer=each_layer,
    )


@pytest.fixture
def volume():
    rng = np.random.default_rng(0)
    return xr.DataArray(
        rng.normal(100, 5, (2, 24, 30)).astype(np.float32),
        dims=("z", "y", "x"),
        attrs={"affine": AFFINE, "voxel_size_mm": [3, 2, 2]},
    )


@pytest.fixture
def labels(volume):
    values = np.zeros(volume.shape, np.uint8)
    values[0, 3:8, 4:9] = 1
    values[:, 12:20, 10:20] = 7
    return values


def test_the_mean_of_a_region_and_its_interval_have_closed_forms(volume, labels):
    result = verb()(volume, roi=labels)
    facts = result.facts
    for label, count, layers in ((1, 25, 1), (7, 160, 2)):
        inside = labels == label
        std = 2 * math.sqrt(0.75 / count + 0.25 / layers)
        mean = float(volume.values[inside].mean())
        assert facts[f"roi_{label}_pixels"].value == count
        assert facts[f"roi_{label}_mean"].value == pytest.approx(mean, rel=1e-5)
        assert facts[f"roi_{label}_low"].value == pytest.approx(mean - 1.644854 * std, rel=1e-5)
        assert facts[f"roi_{label}_high"].value == pytest.approx(mean + 1.644854 * std, rel=1e-5)
    assert "25 % of their variance is common" in facts["roi_correlation"].value
    assert "measured here" in result.page()
    headings = re.findall(r"<h2>(.*?)</h2>(?:<p>(.*?)</p>)?", result.page())
    (heading,) = [h for h in headings if h[0].startswith("Regions of")]
    assert len(heading[0].split()) <= 5, "a heading is no sentence"
    assert "25 % of their variance is common" in heading[1]
    assert heading[1].endswith(".")
    assert f"{facts['roi_7_mean'].value:.5g}" in result.page()


def test_any_function_has_an_interval_from_draws_of_the_error(volume, labels):
    result = verb(WHITE)(volume)
    inside = labels == 7

    def mean(image):
        return image.values[inside].mean()

    found = result.interval(mean, 0.9)
    assert found.mean == pytest.approx(float(mean(volume)), abs=1e-4)
    assert found.std == pytest.approx(2 / math.sqrt(160), rel=0.15)
    assert found.high - found.low == pytest.approx(2 * 1.645 * 2 / math.sqrt(160), rel=0.15)
    # A volume above a threshold: errors blur the edge of the count.
    count = result.interval(lambda image: int((image > 104).sum()))
    assert 0 < count.low < count.mean < count.high
    profile = result.interval(lambda image: image[0, 5], draws=200)
    assert profile.mean.shape == (30,)
    assert profile.std == pytest.approx(np.full(30, 2), rel=0.25)
    again = result.interval(lambda image: image[0, 5], draws=200)
    np.testing.assert_array_equal(profile.low, again.low)


def test_what_an_interval_needs_is_said(volume):
    with pytest.raises(InputError, match="no standard deviation"):
        verb(std="")(volume).interval(lambda image: image.mean())
    plain = verb(None)(volume)
    with pytest.raises(InputError, match="correlated"):
        plain.interval(lambda image: image.mean())
    with pytest.raises(OptionError, match="level"):
        verb()(volume).interval(lambda image: image.mean(), 1.5)


def test_the_command_line_tells_the_regions_of_a_mask(volume, labels, tmp_path):
    write_nifti(volume.values, tmp_path / "in.nii", volume.attrs)
    write_nifti(labels, tmp_path / "mask.nii", volume.attrs)
    app = domain_app(Domain("image", "Images.", (verb(),), None))
    words = [
        "copy",
        str(tmp_path / "in.nii"),
        "-o",
        str(tmp_path / "out.nii"),
        "--json",
        "--report",
    ]
    answer = CliRunner().invoke(app, [*words, "--roi", str(tmp_path / "mask.nii")])
    assert answer.exit_code == 0, answer.stderr
    told = json.loads(answer.stdout)["results"][0]
    assert told["roi_7_pixels"] == 160
    assert told["roi_7_low"] < told["roi_7_mean"] < told["roi_7_high"]
    assert json.loads(json.loads((tmp_path / "out.json").read_text())["regions"])["level"] == 0.9
    assert "90 % interval" in (tmp_path / "out.html").read_text()


def moved(volume, **changes):
    return {**volume.attrs, **changes}


@pytest.mark.parametrize("suffix", ["nii", "npy", "png"])
def test_a_mask_of_another_grid_is_refused_by_name(volume, labels, tmp_path, suffix):
    path = tmp_path / f"lesions.{suffix}"
    _written(path, labels[:, :20], volume.attrs)
    with pytest.raises(InputError, match=rf"lesions.{suffix}: is \d+ x 20 x 30 .* 2 x 24 x 30"):
        verb()(volume, roi=path)


def test_a_mask_at_another_place_is_refused_by_name(volume, labels, tmp_path):
    affine = np.array(AFFINE)
    affine[0, 3] += 2.0
    _written(tmp_path / "moved.nii", labels, moved(volume, affine=affine.tolist()))
    with pytest.raises(InputError, match=r"moved\.nii: lies 2 mm away"):
        verb()(volume, roi=tmp_path / "moved.nii")
    affine[0, 3] -= 1.95  # within a tenth of a voxel
    _written(tmp_path / "near.nii", labels, moved(volume, affine=affine.tolist()))
    assert verb()(volume, roi=tmp_path / "near.nii").facts["roi_1_pixels"].value == 25


def test_a_mask_drawn_on_a_result_of_unknown_place_fits_it(volume, labels, tmp_path):
    volume.attrs.pop("affine")
    write_nifti(labels, tmp_path / "mask.nii", volume.attrs)
    assert verb()(volume, roi=tmp_path / "mask.nii").facts["roi_1_pixels"].value == 25


def test_one_plane_stands_for_every_band(volume, labels, tmp_path):
    _written(tmp_path / "field.png", labels[1:], {})
    result = verb(WHITE, each_layer=True)(volume, roi=tmp_path / "field.png")
    means = [float(layer[labels[1] == 7].mean()) for layer in volume.values]
    assert result.facts["roi_7_mean"].value == pytest.approx(means, rel=1e-5)
    half = 1.644854 * 2 / math.sqrt(80)
    assert result.facts["roi_7_high"].value == pytest.approx([m + half for m in means], rel=1e-5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((2, 24, 30)), "empty"),
        (np.full((2, 24, 30), 0.5), "whole numbers"),
        (-np.ones((2, 24, 30)), "whole numbers"),
        (np.arange(1440).reshape(2, 24, 30), "labels: is this an image"),
        (np.ones(5), "2 or 3 axes"),
    ],
)
def test_what_is_no_mask_is_refused(volume, values, said):
    with pytest.raises(InputError, match=said):
        verb()(volume, roi=values)


def test_colour_and_unknown_formats_are_refused(volume, tmp_path):
    from PIL import Image

    Image.new("RGB", (30, 24)).save(tmp_path / "colour.png")
    (tmp_path / "mask.txt").write_text("1")
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    for name, said in (
        ("colour.png", "colour"),
        ("mask.txt", "read from"),
        ("damaged.npy", "damaged"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{said}"):
            verb()(volume, roi=tmp_path / name)


def _written(path: Path, labels, attrs) -> None:
    if path.suffix == ".nii":
        write_nifti(labels, path, attrs)
        assert nib.load(path).shape == labels.T.shape
    elif path.suffix == ".npy":
        np.save(path, labels)
    else:
        from PIL import Image

        Image.fromarray(labels[0]).save(path)


def test_a_result_is_not_lost_for_a_mask_that_does_not_fit(volume, labels):
    other = verb(std="")(volume, roi=labels)
    assert any("no standard deviation" in warning for warning in other.warnings)
    assert other.estimate.shape == volume.shape
    assert "roi_1_mean" not in other.facts
