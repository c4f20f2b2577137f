"""A body about a study: the study stays as it is, organs are hot, and its box is where it lies."""

from __future__ import annotations

import numpy as np
import pytest
from petct_files import CENTRE, distances, study

from sciddm.geometry.grid import grid_of
from sciddm.pipelines.petct.region import Region
from sciddm.simulation.petct.body import body_about


def _coarse():
    """`study` in few voxels, so that the body has few too."""
    pet, ct = study()
    tumour = distances(grid_of(ct), CENTRE) < 18
    thin = {"z": slice(None, None, 2), "y": slice(None, None, 3), "x": slice(None, None, 3)}
    affine = np.asarray(ct.attrs["affine"]) @ np.diag([3.0, 3.0, 2.0, 1.0])
    return pet, ct.isel(thin).assign_attrs(affine=affine.tolist()), tumour[::2, ::3, ::3]


def test_the_study_lies_in_the_body_as_it_was():
    pet, ct, tumour = _coarse()
    body = body_about(pet, ct, tumour, seed=3)
    for whole, part in ((body.ct, ct), (body.pet, pet)):
        inside = Region(*np.stack(grid_of(part).box())).contains(grid_of(whole))
        assert np.array_equal(whole.values[inside], part.values.ravel())
    inside = Region(*body.box).contains(grid_of(body.ct))
    assert body.tumour.sum() == tumour.sum()
    assert not body.tumour[~inside].any()
    assert not body.organs[inside].any()


def test_organs_are_hot_and_the_seed_moves_them():
    pet, ct, tumour = _coarse()
    one, other = (body_about(pet, ct, tumour, seed=s) for s in (0, 1))
    grid = grid_of(one.ct)
    volume_ml = one.organs.sum() * grid.voxel_ml
    assert 2500 < volume_ml < 7000  # brain 1.5 l, liver 1.6 l, heart, kidneys, bladder
    assert float(one.pet.max()) > 12  # the bladder
    assert one.organs.shape != other.organs.shape or (one.organs != other.organs).any()
    extent = np.ptp(np.stack(grid.box()), axis=0)
    assert extent[2] > 1200


def test_a_turned_grid_is_refused():
    pet, ct, tumour = _coarse()
    turned = np.asarray(ct.attrs["affine"]) @ np.array(
        [[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]
    )
    with pytest.raises(ValueError, match="turned"):
        body_about(pet, ct.assign_attrs(affine=turned.tolist()), tumour)
