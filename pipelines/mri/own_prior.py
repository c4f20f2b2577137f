"""A prior of MRI of one's own: which model may be its start, and how it is planned."""

from __future__ import annotations

from sciddm.errors import ModelError
from sciddm.pipelines.mri.own_checks import check
from sciddm.pipelines.mri.own_slices import KIND, read_slices
from sciddm.pipelines.own_prior.contract import Contract
from sciddm.zoo.pretrained import Model

__all__ = ["CONTRACT"]


def _accepts(model: Model) -> str:
    try:
        denoiser = model.denoiser
    except ModelError:
        return "it is no prior of images alone"
    if not denoiser.complex_data:
        return "it is a prior of real images"
    return "it is shown the measurement" if denoiser.sees_estimate else ""


CONTRACT = Contract(
    kind=KIND,
    recipe="mri-brain",
    dataset="sciddm.pipelines.mri.own_slices.OwnSlices",
    read=read_slices,
    check=check,
    sizes=(
        {},
        {"channels": [48, 64, 96], "norm_num_groups": 16},
        {"channels": [32, 48, 64], "norm_num_groups": 16},
    ),
    crop=96,
    stride=8,
    keeps=True,
    accepts=_accepts,
)
