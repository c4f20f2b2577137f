"""A prior of tissue of one's own for ultrasound: contract and checks.

Its use is beside a prior of haze: ``sciddm ultrasound dehaze --tissue-model RUN/model --haze-model
us-haze-envelope`` (``us-haze`` for echoes). The checks say how well it removes white noise from
frames that training has not seen. The factor of dehazing needs scans with known haze, which the
folder lacks: the card has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import yaml

from sciddm.denoiser import NetworkDenoiser
from sciddm.pipelines.own_prior.comparison import in_words, outcome_of
from sciddm.pipelines.own_prior.contract import Checks, Contract
from sciddm.pipelines.own_prior.prepared import Prepared
from sciddm.pipelines.own_prior.split import Part
from sciddm.pipelines.ultrasound.own_frames import KIND, check_one_kind, is_echoes, read_frames
from sciddm.training.recipe import RECIPES
from sciddm.zoo.pretrained import Model, from_pretrained

__all__ = ["CONTRACT", "check"]

_LEVELS, _FRAMES, _SIDE = (0.05, 0.2), 8, 256


@torch.no_grad()
def check(checks: Checks) -> dict[str, Any]:
    """PSNR of one evaluation at two noise levels, beside the start."""
    part: Part = "test" if checks.prepared.of("test") else "validate"
    models = {"own": from_pretrained(checks.model).denoiser}
    if checks.start is not None:
        models["start"] = from_pretrained(checks.start).denoiser
    frames = [
        np.array(checks.prepared.values(entry)[0])[:_SIDE, :_SIDE]
        for entry in checks.prepared.of(part)[:_FRAMES]
    ]
    peak = 2.0 if is_echoes(checks.prepared) else 1.0
    metrics: dict[str, Any] = {
        "what": f"PSNR dB (range {peak:g}, companded) of one evaluation on {len(frames)} frames of "
        f"the {part} patients with white noise"
    }
    for level in _LEVELS:
        rows: dict[str, list[float]] = {label: [] for label in models}
        for number, frame in enumerate(frames):
            truth = torch.from_numpy(frame)[None, None]
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(truth.shape, generator=generator)
            for label, model in models.items():
                t = model.process.time(level)
                estimate = model(model.process.add_noise(truth, t, z=noise), t)
                rows[label].append(outcome_of(estimate.numpy(), truth.numpy(), peak).psnr)
        metrics[f"noise {level:g}"] = {k: round(float(np.mean(v)), 2) for k, v in rows.items()}
        checks.progress(f"noise {level:g}: PSNR {in_words(metrics[f'noise {level:g}'])} dB")
    haze = "us-haze" if is_echoes(checks.prepared) else "us-haze-envelope"
    limits = (
        f"A prior of tissue: take it with --tissue-model, and --haze-model {haze}. The standard "
        "deviation of dehazing has no factor of its own."
    )
    return {"metrics": metrics, "limits": limits}


def _values(prepared: Prepared) -> Mapping[str, Any]:
    """Of envelopes the recipe is another."""
    name = "us-tissue" if is_echoes(prepared) else "us-tissue-envelope"
    values = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return {key: values[key] for key in ("process", "network", "denoiser", "noise")}


def _accepts(model: Model) -> str:
    tissue = model.representation.get("kind") == "us-tissue"
    return "" if tissue and isinstance(model.model, NetworkDenoiser) else "it is no prior of tissue"


CONTRACT = Contract(
    kind=KIND,
    recipe="us-tissue",
    dataset="sciddm.pipelines.ultrasound.own_frames.OwnFrames",
    read=read_frames,
    check=check,
    sizes=({}, {"channels": [24, 48, 80]}, {"channels": [16, 32, 56]}),
    crop=64,
    stride=8,
    values=_values,
    fits=check_one_kind,
    accepts=_accepts,
)
