"""Network, crop, batch and steps, from the data, the machine and the time.

=========  ====================================================================================
part       choice
=========  ====================================================================================
crop       the largest multiple of the network's stride within the median image, up to the
           domain's largest
network    the start's; from nothing the largest of the domain's sizes of which the time allows
           4000 steps
batch      the largest of the domain's (16, 8, 4 for images) of which the time allows 2000 steps
lr         the recipe's; a quarter of it to fine-tune
EMA        over a twentieth of the steps
precision  bfloat16 where the processor or GPU has it, else float32
end        the time, or 8 validations without a gain; there are about 20
=========  ====================================================================================
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.utils.data import DataLoader

from sciddm.errors import InputError, OptionError
from sciddm.models import describe_model, network_of
from sciddm.pipelines.own_prior.contract import Contract
from sciddm.pipelines.own_prior.prepared import Prepared
from sciddm.precision import native_precision
from sciddm.training.duration import clock
from sciddm.training.module import training_loss
from sciddm.training.recipe import RECIPES, Recipe, load_recipe
from sciddm.training.run import build
from sciddm.training.stream import SeededItems
from sciddm.zoo.pretrained import from_pretrained

__all__ = ["Wishes", "planned", "seconds_per_step"]

_STEPS_OF_BATCH, _STEPS_OF_SIZE = 2000, 4000
_VALIDATIONS, _PATIENCE = 20, 8
_FINE = 0.25
_LEAST_CROP = 16
_STEPS = 200_000
_PARTS = ("process", "network", "denoiser", "predictor", "regeneration", "autoencoder", "segmenter")


@dataclass(frozen=True)
class Wishes:
    """What the user asks for.

    Attributes:
        name: of the model.
        seconds: of training.
        start: model whose weights training begins with; None for none.
        licence: of the data, for the card.
        workers: processes that make items, 0 for none.
        overrides: ``key=value`` of the recipe.
        keep: RUN/keep/data, a second folder that is drawn from; None for none.
    """

    name: str
    seconds: float
    start: str | None = None
    licence: str = ""
    workers: int = 0
    overrides: tuple[str, ...] = ()
    keep: Path | None = None


def planned(contract: Contract, prepared: Prepared, wishes: Wishes, target: Path) -> Recipe:
    """The recipe of a run, written as ``target``; see the module for what it chooses.

    Raises:
        InputError: images too small.
        ModelError, OptionError: a start that does not fit the domain.
    """
    values = yaml.safe_load((RECIPES / f"{contract.recipe}.yaml").read_text(encoding="utf-8"))
    values |= contract.values(prepared)
    values["data"] = {"dataset": contract.dataset, "arguments": _arguments(contract, prepared)}
    if wishes.keep is not None:
        values["data"]["arguments"]["keep"] = str(wishes.keep.resolve())
    values["name"] = wishes.name
    values["card"] = _card(contract, prepared, wishes)
    values.pop("start_from", None)
    if wishes.start is not None:
        model = from_pretrained(wishes.start)
        reason = contract.accepts(model)
        if reason:
            raise OptionError(
                "start", f"{wishes.start} is no start for {contract.kind.domain}: {reason}"
            )
        for key in _PARTS:
            values.pop(key, None)
        values |= describe_model(model.model)
        values["start_from"] = wishes.start
        values["summary"] = f"Fine-tuned from {wishes.start} on a folder of {contract.kind.domain}."
    else:
        values["summary"] = f"Trained on a folder of {contract.kind.domain}."
    o = dict(values["optimisation"])
    o |= {
        "max_time": clock(wishes.seconds),
        "steps": _STEPS,
        "workers": wishes.workers,
        "compile": False,
        "precision": "auto",
        "patience": _PATIENCE,
    }
    values["optimisation"] = o
    if wishes.start is not None:
        o["lr"] = _FINE * float(o["lr"])
    _sized(contract, values, wishes, target)
    return load_recipe(target, wishes.overrides)


def seconds_per_step(recipe: Recipe, steps: int = 2) -> float:
    """Seconds of an optimiser's step with its data, measured after one that is not counted."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(recipe).to(device).train()
    o = recipe.optimisation
    data = recipe.data.load()(**recipe.data.arguments, split="train", seed=o.seed)
    loader = DataLoader(
        SeededItems(data, o.seed),
        batch_size=o.batch_size,
        sampler=[(i, i % len(data)) for i in range((steps + 1) * o.batch_size)],
    )
    optimizer = torch.optim.AdamW(network_of(model).parameters(), lr=0.0)
    half = o.precision.startswith("bf16") or (
        o.precision == "auto" and native_precision(device) == "bfloat16"
    )
    start = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        for number, (_, batch) in enumerate(loader):
            items = batch if isinstance(batch, dict) else {"x0": batch}
            items = {k: v.to(device) for k, v in items.items()}
            with torch.autocast(device, torch.bfloat16, enabled=half):
                loss = training_loss(model, items, recipe.noise).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            if number == 0:
                start = time.monotonic()
    return (time.monotonic() - start) / steps


def _sized(contract: Contract, values: dict[str, Any], wishes: Wishes, target: Path) -> None:
    """Network and batch by the time, and what follows from the number of steps."""
    o, network = values["optimisation"], values.get("network")
    batches = contract.batches
    sizes = contract.sizes if wishes.start is None and network is not None else ({},)
    seconds = 0.0
    for size in sizes:
        if network is not None:
            values["network"] = {**network, **size}
        o["batch_size"] = batches[0]
        seconds = seconds_per_step(_written(values, target)) / o["batch_size"]
        if wishes.seconds / (seconds * batches[len(batches) // 2]) >= _STEPS_OF_SIZE:
            break
    enough = [b for b in batches if wishes.seconds / (seconds * b) >= _STEPS_OF_BATCH]
    o["batch_size"] = enough[0] if enough else batches[-1]
    steps = max(1, int(wishes.seconds / (seconds * o["batch_size"])))
    o["ema_decay"] = round(1 - 1 / min(1000, max(10, steps / 20)), 4)
    o["warmup_steps"] = min(200, max(1, steps // 20))
    values["data"]["arguments"]["length"] = max(1, steps // _VALIDATIONS) * o["batch_size"]
    _written(values, target)


def _written(values: Mapping[str, Any], target: Path) -> Recipe:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")
    return load_recipe(target)


def _arguments(contract: Contract, prepared: Prepared) -> dict[str, Any]:
    arguments: dict[str, Any] = {"prepared": str(prepared.folder.resolve()), "length": 64}
    if contract.crop is not None:
        sides = [min(entry.shape[-2:]) for entry in prepared.of("train")]
        side = int(np.median(sides))
        if side < _LEAST_CROP:
            raise InputError(
                f"{prepared.source}: images of {side} pixels: a side of {_LEAST_CROP} is the least"
            )
        crop = min(contract.crop, max(contract.stride, side // contract.stride * contract.stride))
        arguments["crop"] = crop
    return {**arguments, **contract.arguments(prepared)}


def _card(contract: Contract, prepared: Prepared, wishes: Wishes) -> dict[str, Any]:
    domain = contract.kind.domain
    return {
        "data": f"a folder of one's own ({Path(prepared.source).name}): {len(prepared.entries)} "
        f"files for --domain {domain}, {prepared.items('train')} training items",
        "licence": wishes.licence or "not stated (--licence)",
        "split": prepared.sentence(contract.kind.word),
        "recipe": "recipe.yaml of the run",
        "limits": "Trained on the data above alone: other objects, contrasts, resolutions or "
        "devices are outside its experience.",
    }
