"""A prior of a plain folder of images: its contract and its checks.

The operator is the user's own and unknown here, so the checks use two that stand for many: one
pixel in three measured, and every pixel measured with much noise. They say how good the prior is
on images it was not trained on, and how well its intervals hold; no factor is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from sciddm.errors import ModelError
from sciddm.inverse import sample_posterior
from sciddm.metrics.images import psnr
from sciddm.physics.basic import Mask
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.image_folder import KIND, check_one_size, read_images
from sciddm.pipelines.own_prior.prepared import Prepared
from sciddm.pipelines.own_prior.shift_law import shift_entry
from sciddm.pipelines.own_prior.split import Part
from sciddm.zoo.pretrained import Model, from_pretrained

__all__ = ["CONTRACT", "check"]

_IMAGES, _LEVEL, _STEPS, _SAMPLES = 8, 0.9, 12, 8
#: Share of the pixels that are measured, and noise over the images' standard deviation.
_PROBLEMS = {"one pixel in three, noise 5 %": (1 / 3, 0.05), "every pixel, noise 50 %": (1.0, 0.5)}
_SIZES: tuple[Mapping[str, Any], ...] = (
    {"channels": [48, 64, 96], "blocks": [1, 2, 4]},
    {"channels": [24, 48, 64], "blocks": [1, 1, 3]},
    {"channels": [16, 32, 48], "blocks": [1, 1, 2]},
)
#: In units of the images' standard deviation: the noise levels of the process, those that training
#: sees most, and the one at which the shift is scored.
_SIGMA_MIN, _SIGMA_MAX, _SIGMA_MEAN, _SHIFT_SIGMA = 0.008, 40.0, 0.3, 0.5


def check(checks: Checks) -> dict[str, Any]:
    """Quality and coverage on images that training has not seen, and the law of the shift."""
    model = from_pretrained(checks.model)
    start = None if checks.start is None else from_pretrained(checks.start)
    part: Part = "test" if checks.prepared.of("test") else "validate"
    truth = _images(checks.prepared, part, _IMAGES)
    std = model.denoiser.data_std
    reach = float(truth.max() - truth.min())
    metrics: dict[str, Any] = {
        "what": f"PSNR dB of the posterior mean of sample_posterior on {len(truth)} {part} images "
        f"({_SAMPLES} samples, {_STEPS} levels), and coverage of its {_LEVEL:.0%} intervals"
    }
    coverage: dict[str, Any] = {}
    for number, (name, (share, noise)) in enumerate(_PROBLEMS.items()):
        generator = torch.Generator().manual_seed(number)
        mask = (torch.rand(truth.shape[1:], generator=generator) < share).float()
        sigma = noise * std
        y = mask * (truth + sigma * torch.randn(truth.shape, generator=generator))
        row: dict[str, Any] = {}
        for label, prior in (("start", start), ("PSNR", model)):
            if prior is None:
                continue
            posterior = sample_posterior(
                y, Mask(mask), prior, sigma, samples=_SAMPLES, steps=_STEPS, seed=number
            )
            row[label] = round(psnr(posterior.mean.numpy(), truth.numpy(), reach), 2)
            if prior is model:
                coverage[name] = round(posterior.coverage(truth, _LEVEL), 3)
        metrics[name] = row
        before = f" (start {row['start']} dB)" if "start" in row else ""
        checks.progress(f"{name}: PSNR {row['PSNR']} dB{before}, coverage {coverage[name]}")
    return {"metrics": metrics, "coverage": coverage, "shift": _shift(model, checks.prepared)}


def _shift(model: Model, prepared: Prepared) -> dict[str, Any]:
    train, held_out = _images(prepared, "train", 400), _images(prepared, "validate", 400)
    return shift_entry(
        model.denoiser,
        train.split(1),
        held_out.split(1),
        layer=_layer(model.denoiser.network),
        sigma=_SHIFT_SIGMA * model.denoiser.data_std,
        level=-1.0,
    )


def _layer(network: nn.Module) -> str:
    """The innermost layer of a network of either kind."""
    blocks = getattr(network, "middle", None)
    return "net.middle_block" if blocks is None else f"middle.{len(blocks) - 1}"


def _images(prepared: Prepared, part: Part, count: int) -> torch.Tensor:
    """(image, 1, y, x) of a part, at most ``count``, evenly from all of them."""
    images = np.concatenate([prepared.values(entry) for entry in prepared.of(part)])
    places = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return torch.from_numpy(np.array(images[places], np.float32))[:, None]


def _values(prepared: Prepared) -> dict[str, Any]:
    """Noise levels and scales of the training images."""
    images = _images(prepared, "train", 2000)
    center, std = float(images.mean()), max(float(images.std()), 1e-6)
    return {
        "process": {"name": "EDM", "sigma_min": _SIGMA_MIN * std, "sigma_max": _SIGMA_MAX * std},
        "denoiser": {
            "parametrization": "edm",
            "data_std": std,
            "scale": std,
            "center": center,
        },
        "noise": {"law": "lognormal", "mean": math.log(_SIGMA_MEAN * std), "std": 1.5},
    }


def _accepts(model: Model) -> str:
    try:
        denoiser = model.denoiser
    except ModelError:
        return "it is no prior of images alone"
    if denoiser.complex_data or denoiser.sees_estimate or denoiser.process.has_endpoint:
        return "it is no prior of real images"
    network = dict(getattr(denoiser.network, "config", {}))
    plain = network.get("in_channels") == 1 and not network.get("cond_channels")
    return "" if plain and not network.get("mix") else "it is no prior of single images"


CONTRACT = Contract(
    kind=KIND,
    recipe="images",
    dataset="sciddm.pipelines.own_prior.image_folder.ImageCrops",
    read=read_images,
    check=check,
    sizes=_SIZES,
    crop=64,
    stride=4,
    values=_values,
    fits=check_one_size,
    accepts=_accepts,
)
