"""The pipeline with a network that is known: what takes up more than SUV 2.5 is tumour."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from petct_files import CENTRE, distances, study, uptake_pipeline

from sciddm.data_adapters.nifti import write_nifti
from sciddm.errors import InputError, ModelError, OptionError
from sciddm.geometry.grid import Grid, grid_of
from sciddm.metrics.masks import dice
from sciddm.physics.petct.lesions import lesions_in
from sciddm.pipelines.petct.pipeline import (
    NOT_SEARCHED,
    TumourSegmentation,
    entropy,
    tempered,
)
from sciddm.pipelines.petct.region import region_about
from sciddm.pipelines.petct.representation import Representation
from sciddm.pipelines.petct.searched import cut_lesions
from sciddm.pipelines.petct.statements import statements
from sciddm.random.streams import Streams
from sciddm.simulation.petct.phantom import thigh_phantom


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return uptake_pipeline()(*study(), quality="balanced", seed=1)


def test_the_mask_lies_on_ct_where_the_uptake_is(result):
    _, ct = study()
    truth = distances(grid_of(ct), CENTRE) < 18 + 4 * (0.5 - 2 / 5.5)  # where SUV is 2.5
    assert dice(result["mask"].values, truth) > 0.95
    assert result["mask"].shape == ct.shape
    assert np.allclose(result.attrs["affine"], ct.attrs["affine"])
    assert float(result["probability"].values[truth].mean()) > 0.9
    sure = distances(grid_of(ct), CENTRE) > 26
    assert float(result["probability"].values[sure].max()) < 0.02
    assert float(result["entropy"].values[sure].max()) < 0.15
    assert np.all(result["agreement"].values[sure] == 1)


def test_what_repeats_the_run_is_told(result):
    attrs = result.attrs
    assert (attrs["samples"], attrs["steps"], attrs["nfe"]) == (5, 5, 25)
    assert attrs["sampler"] == "DDIM"
    assert attrs["seed"] == 1
    assert json.loads(attrs["warnings"]) == []
    again = uptake_pipeline()(*study(), quality="balanced", seed=1)
    assert np.array_equal(again["probability"].values, result["probability"].values)


def test_the_lesions_of_a_result(result):
    [lesion] = lesions_in(result)
    assert np.array_equal(result["label"] > 0, result["mask"] > 0)
    assert lesion.suv_max == pytest.approx(6.0)
    assert lesion.suv_peak == pytest.approx(6.0, rel=1e-3)
    assert np.allclose([lesion.x_mm, lesion.y_mm, lesion.z_mm], CENTRE, atol=0.5)


def test_samples_are_mirrored_and_mirrored_back(result):
    """A network that knows left from right would be averaged over its mirror images."""
    pipeline = uptake_pipeline()
    seen = []
    inner = pipeline.model.network.forward

    def forward(x, level, cond=None):
        seen.append(float((cond[0, 0] * torch.arange(cond.shape[-1])).mean()))
        return inner(x, level, cond)

    pipeline.model.network.forward = forward
    whole = Representation(spacing_mm=(3.0, 2.0, 2.0), window=(24, 48, 48))
    pipeline.representation = whole
    found = pipeline(*study(), quality="fast", samples=2, seed=1)
    first, second = np.unique(np.round(seen, 3))
    assert first != second
    assert dice(found["mask"].values, result["mask"].values) > 0.97


def test_noise_belongs_to_the_sample_not_to_the_others():
    model = uptake_pipeline()
    two = model(*study(), samples=2, seed=5)
    three = model(*study(), samples=3, seed=5)
    assert two.attrs["nfe"] == 10
    assert three.attrs["nfe"] == 15
    like = torch.empty(1, 1, 4, 4, 4)
    assert torch.equal(Streams(5, [1]).randn(like, -1), Streams(5, range(2)).randn(
        torch.empty(2, 1, 4, 4, 4), -1)[1:])  # fmt: skip


def test_temperature_and_threshold():
    p = np.array([0.001, 0.2, 0.5, 0.9])
    assert np.allclose(tempered(p, 1.0), p)
    logit = np.log(p / (1 - p))
    assert np.allclose(tempered(p, 2.0), 1 / (1 + np.exp(-logit / 2)))
    assert np.allclose(tempered([0.0, 1.0], 1.0), [1e-4, 1 - 1e-4])
    assert np.allclose(entropy(np.array([0.0, 0.5, 1.0, 0.25])), [0, 1, 0, 0.811278], atol=1e-6)
    small = uptake_pipeline()(*study(), quality="fast", threshold=0.95)
    large = uptake_pipeline()(*study(), quality="fast", threshold=0.05)
    assert small["mask"].values.sum() < large["mask"].values.sum()


def test_no_tumour_is_said():
    pet, ct = study()
    found = uptake_pipeline()(0.1 * pet.assign_attrs(pet.attrs), ct, quality="fast")
    assert not found["mask"].values.any()
    assert "no tumour was found" in json.loads(found.attrs["warnings"])


def bad_studies():
    pet, ct = study()
    far = np.array(ct.attrs["affine"])
    far[0, 3] += 500
    return [
        (pet, ct.assign_attrs(affine=far.tolist()), "mm apart"),
        (pet.assign_attrs(patient="a"), ct.assign_attrs(patient="b"), "different patients"),
        (ct, pet, "swapped"),
        (pet.isel(z=slice(1)), ct, "1 slice"),
        (pet, ct.isel(z=slice(3)), "3 slice"),
        (pet.drop_attrs(), ct, "says not where"),
    ]


@pytest.mark.parametrize(
    ("pet", "ct", "message"), bad_studies(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_cannot_be_one_study_is_refused(pet, ct, message):
    with pytest.raises(InputError, match=message):
        uptake_pipeline()(pet, ct)


def test_other_frames_are_a_warning():
    pet, ct = study()
    found = uptake_pipeline()(
        pet.assign_attrs(frame_of_reference="1.2"), ct.assign_attrs(frame_of_reference="1.3"),
        quality="fast",
    )  # fmt: skip
    assert "frames of reference" in json.loads(found.attrs["warnings"])[0]


def test_the_representation_is_stored_and_checked():
    seen = Representation(modalities=["pet"], suv_clip=10, temperature=1.7)
    assert Representation.from_config(json.loads(json.dumps(seen.config)), "m") == seen
    with pytest.raises(ModelError, match="segments PET/CT"):
        Representation.from_config({"kind": "spectrogram"}, "m")
    with pytest.raises(ModelError, match="unusable"):
        Representation.from_config({**seen.config, "modalities": ["mr"]}, "m")
    one = seen.channels(np.array([0.0, 2.5, 10, 40])[:, None, None], np.zeros((4, 1, 1)))
    assert np.allclose(one.flatten(), [-1, 0, 1, 1])
    both = Representation().channels(np.zeros((1, 1, 3)), np.array([[[-1000.0, 50.0, 300.0]]]))
    assert np.allclose(both[1].flatten(), [-1, 0, 1])


def test_the_phantom_has_its_tumour_where_the_mask_is():
    phantom = thigh_phantom(3, shape=(20, 100, 100), ct_mm=(5.0, 2.2, 2.2))
    pet, ct = phantom.pet, phantom.ct
    found = uptake_pipeline()(pet, ct, quality="fast")
    assert dice(found["mask"].values, phantom.mask) > 0.6
    assert ct.values[0, 0, 0] < -900
    pipeline = TumourSegmentation(uptake_pipeline().model)
    with pytest.raises(InputError, match="threshold"):
        pipeline(pet, ct, threshold=1.0)


def cropping_pipeline(field_mm, crop_mm=(60.0, 60.0, 60.0)):
    """The same network, of a model that was trained on crops."""
    pipeline = uptake_pipeline()
    pipeline.representation = replace(pipeline.representation, field_mm=field_mm, crop_mm=crop_mm)
    return pipeline


def test_a_field_of_view_beyond_the_training_crops_is_refused():
    pet, ct = study()
    small, large = cropping_pipeline((50.0, 50.0, 50.0)), cropping_pipeline((90.0, 90.0, 90.0))
    with pytest.raises(InputError, match=r"larger than the crops .*\(--roi, --point\)"):
        small(pet, ct, quality="fast")
    forced = small(pet, ct, quality="fast", anywhere=True)
    assert forced.attrs["verdict_familiar"] == "no"
    assert "larger than the crops" in json.loads(forced.attrs["warnings"])[0]
    within = large(pet, ct, quality="fast").attrs
    assert within["verdict_familiar"] == "not checked"  # by its size alone it is not familiar
    assert "organs that take up tracer was not checked" in within["verdict"]


@pytest.mark.parametrize("how", ["box", "point", "mask", "file"])
def test_a_region_limits_the_search(tmp_path, how):
    """A second ball as hot as the first: only that in the region is marked, and as it was alone."""
    pet, ct = study()
    alone = uptake_pipeline()(pet, ct, quality="fast")
    second = np.array(CENTRE) - [31.0, 0.0, 18.0]
    hot = pet.copy(data=np.where(distances(grid_of(pet), second) < 8, 6.0, pet.values))
    near = distances(grid_of(ct), CENTRE) < 20
    region = ct.copy(data=near.astype(np.float32))
    low, high = np.array(CENTRE) - 20, np.array(CENTRE) + 20
    options = {
        "box": {"roi": ",".join(f"{a},{b}" for a, b in zip(low, high, strict=True))},
        "point": {"point": CENTRE},
        "mask": {"roi": region},
        "file": {"roi": str(tmp_path / "roi.nii.gz")},
    }[how]
    write_nifti(near, tmp_path / "roi.nii.gz", ct.attrs)
    pipeline = cropping_pipeline((90.0, 90.0, 90.0), (40.0, 40.0, 40.0))
    everywhere = pipeline(hot, ct, quality="fast")
    assert everywhere.sizes["lesion"] == 2
    if how == "point":  # 5 cm about the ball are more than this model knows: the crop stays
        pipeline = cropping_pipeline((60.0, 60.0, 60.0), (40.0, 40.0, 40.0))
    found = pipeline(hot, ct, quality="fast", **options)
    assert found.sizes["lesion"] == 1
    assert dice(found["mask"].values, alone["mask"].values) > 0.97
    outside = distances(grid_of(ct), CENTRE) > 36
    assert (found["flags"].values[outside] == NOT_SEARCHED).all()
    assert not found["flags"].values[distances(grid_of(ct), CENTRE) < 15].any()
    assert found["probability"].values[outside].max() == 0


def test_regions_that_cannot_be():
    pet, ct = study()
    pipeline = uptake_pipeline()
    for options, message in (
        ({"roi": "1,2,3"}, "x0,x1,y0,y1,z0,z1"),
        ({"roi": "5,1,0,9,0,9"}, "the lower first"),
        ({"roi": "900,950,0,9,0,9"}, "outside of what PET and CT show"),
        ({"roi": ct * 0}, "empty"),
        ({"roi": "0,9,0,9,0,9", "point": (0, 0, 0)}, "take one of them"),
        ({"point": (0, 0, 0)}, "no size of a crop"),
    ):
        with pytest.raises((InputError, OptionError), match=message):
            pipeline(pet, ct, **options)


def test_a_lesion_that_a_region_cuts_is_told():
    """A box through the middle of the ball, and one that holds all of it."""
    pet, ct = study()
    x, y, _ = CENTRE
    pipeline = uptake_pipeline()
    whole = pipeline(pet, ct, quality="fast", roi=f"{x - 30},{x + 30},{y - 30},{y + 30},-40,40")
    half = pipeline(pet, ct, quality="fast", roi=f"{x},{x + 30},{y - 30},{y + 30},-40,40")
    assert json.loads(whole.attrs["warnings"]) == []
    low, high = whole.attrs["region_mm"]
    assert np.allclose([low[0], high[0]], [x - 30, x + 30], atol=2.1)
    sentences = [s.text for s in statements(whole.attrs) if "region" in s.text]
    assert len(sentences) == 1
    assert f"R {low[0]:.0f} to {high[0]:.0f} mm" in sentences[0]
    [said] = json.loads(half.attrs["warnings"])
    assert said.startswith("lesion 1 reaches the end of what was searched")
    assert half["lesion_mtv_ml"].item() < 0.7 * whole["lesion_mtv_ml"].item()


def test_the_end_of_the_volume_cuts_a_lesion_too():
    labels = np.zeros((4, 5, 6), np.int32)
    labels[1:3, 1:3, 1:3] = 1
    labels[1:3, 3:5, 4] = 2
    everything = np.ones(labels.shape, bool)
    assert cut_lesions(labels, everything) == [2]
    above = everything.copy()
    above[0] = False
    assert cut_lesions(labels, above) == [1, 2]
    corner = everything.copy()
    corner[0, 0, 0] = False  # touches the first at a corner only
    assert cut_lesions(labels, corner) == [2]


def test_a_point_without_a_tumour_is_told():
    """20 mm from the ball's surface, and in its middle."""
    pet, ct = study()
    pipeline = cropping_pipeline((90.0, 90.0, 90.0), (80.0, 80.0, 80.0))
    beside = (CENTRE[0] - 38.0, CENTRE[1], CENTRE[2])
    [said] = [
        w
        for w in json.loads(pipeline(pet, ct, quality="fast", point=beside).attrs["warnings"])
        if "at the point" in w
    ]
    assert float(said.split("nearest is ")[1].split(" mm")[0]) == pytest.approx(20, abs=2)
    inside = pipeline(pet, ct, quality="fast", point=CENTRE)
    assert "at the point" not in inside.attrs["warnings"]


def test_a_region_that_is_too_large_is_refused_by_its_own_name():
    pet, ct = study()
    with pytest.raises(InputError, match=r"a region of .* larger than the crops .* a smaller one"):
        cropping_pipeline((30.0, 30.0, 30.0))(pet, ct, roi="-30,30,-30,30,-30,30")


def test_another_solver_and_other_levels():
    """Heun evaluates twice a step and once at the last level; the blob stays where it is."""
    result = uptake_pipeline()(*study(), quality="fast", samples=1, sampler="heun", steps=3)
    attrs = result.attrs
    assert (attrs["sampler"], attrs["steps"], attrs["nfe"]) == ("Heun (EDM)", 4, 7)
    plain = uptake_pipeline()(*study(), quality="fast", samples=1, steps=3)
    assert (plain.attrs["sampler"], plain.attrs["steps"], plain.attrs["nfe"]) == ("DDIM", 4, 4)
    assert dice(result["mask"].values, plain["mask"].values) > 0.98
    with pytest.raises(OptionError, match="sampler magic: take one of ddim"):
        uptake_pipeline()(*study(), sampler="magic")


def test_a_crop_about_a_point_grows_to_the_lesion_there():
    """The usual crop cuts the ball; that about what it shows of the ball holds all of it."""
    pet, ct = study()
    pipeline = cropping_pipeline((120.0, 120.0, 120.0), (24.0, 24.0, 24.0))
    result = pipeline(pet, ct, quality="fast", point=CENTRE)
    whole = uptake_pipeline()(pet, ct, quality="fast")
    assert dice(result["mask"].values, whole["mask"].values) > 0.97
    assert json.loads(result.attrs["warnings"]) == []


def test_the_region_about_a_lesion():
    labels = np.zeros((40, 40, 40), np.int32)
    labels[10:13, 20:22, 5:9] = 1
    labels[30, 30, 30] = 2
    grid = Grid(np.diag([2.0, 3.0, 4.0, 1.0]), labels.shape)
    region = region_about(labels, grid, (12.0, 60.0, 44.0))
    assert np.allclose(region.low, [10 - 50, 60 - 50, 40 - 50])
    assert np.allclose(region.high, [16 + 50, 63 + 50, 48 + 50])
    assert region_about(labels, grid, (40.0, 60.0, 44.0)) is None
    assert region_about(0 * labels, grid, (12.0, 60.0, 44.0)) is None
