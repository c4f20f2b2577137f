"""Trains a recipe on measurements alone: rounds of draws and training; see ``expectation``."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciddm.device import current, resolve, use
from sciddm.physics import Measurement
from sciddm.priors.radial_gaussian import RadialGaussian
from sciddm.process import process_from_config
from sciddm.storage import transaction
from sciddm.training.expectation import Batch, Draws, gaussian_prior, mmps_draws, write_draws
from sciddm.training.recipe import DataSpec, Recipe
from sciddm.training.stream import derived_seed
from sciddm.zoo.pretrained import from_pretrained

__all__ = ["train_in_rounds"]

#: (recipe of a round, its folder, its limit of time) -> its model folder.
Train = Callable[[Recipe, Path, str | None], Path]

_MODEL = "model"


def train_in_rounds(
    recipe: Recipe,
    out: Path,
    train: Train,
    *,
    resume: bool,
    seconds: float | None,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Path:
    """Alternates draws from the posterior of every measurement with training on these draws.

    The folder of each round (``round-01``, ...) holds its draws, checkpoints and model. What is
    there is gone on with.

    Args:
        recipe: with an ``expectation`` section; its data set yields measurements.
        out: folder of the run.
        train: trains one round.
        resume: keep the rounds that are there.
        seconds: limit of the time of all trainings together, without the draws.
        tell: called with a sentence at the begin of each step.

    Returns:
        The model folder of the last round, under ``out``.
    """
    spec = recipe.expectation
    assert spec is not None
    assert recipe.process is not None
    if not resume:
        for folder in out.glob("round-[0-9][0-9]"):
            shutil.rmtree(folder)
    dataset = recipe.data.load()
    seed = recipe.optimisation.seed
    sets = {
        split: dataset(**recipe.data.arguments, split=split, seed=seed)
        for split in ("train", "validate")
    }
    process = process_from_config(recipe.process)

    def measure(batch: Batch) -> Measurement:
        placed = {name: value.to(current()) for name, value in batch.items()}
        m: Measurement = dataset.measurement(placed)
        return m

    model: Path | None = None
    for number in range(1, spec.rounds + 1):
        place = out / f"round-{number:02d}"
        if (place / _MODEL).exists():
            model = place / _MODEL
            continue
        finished = place / "draws.json"
        if not finished.exists():
            start = time.monotonic()
            tell(f"round {number} of {spec.rounds}: draws")
            draw: Callable[[Measurement, list[int]], Tensor]
            with use(resolve()):
                if model is None:
                    prior = gaussian_prior(
                        sets["train"], measure, process, rounds=spec.gaussian_rounds, seed=seed
                    )
                    draw = _exact(prior, derived_seed(seed, "draws", number))
                else:
                    draw = _by_mmps(model, recipe, derived_seed(seed, "draws", number))
                for split, items in sets.items():
                    write_draws(items, measure, draw, place / "draws", split, spec.batch_size)
            took = {"seconds": round(time.monotonic() - start, 1)}
            finished.write_text(json.dumps(took), encoding="utf-8")
        tell(f"round {number} of {spec.rounds}: training")
        o = recipe.optimisation
        one = recipe.model_copy(
            update={
                "expectation": None,
                "data": DataSpec(
                    dataset=f"{Draws.__module__}.{Draws.__name__}",
                    arguments={
                        "folder": str(place / "draws"),
                        "patch": spec.patch,
                        "mirror": spec.mirror,
                    },
                ),
                "optimisation": o.model_copy(
                    update={"steps": max(1, o.steps // spec.rounds), "seed": o.seed + number}
                ),
                # From the round before; the first from the recipe's own start.
                "start_from": recipe.start_from if model is None else str(model),
            }
        )
        limit = None if seconds is None else _clock(seconds / spec.rounds)
        model = train(one, place, limit)
        if not model.exists():  # stopped by a signal
            return out / _MODEL
    assert model is not None
    with transaction([out / _MODEL], folders=[out / _MODEL]) as at:
        shutil.copytree(model, at[out / _MODEL], dirs_exist_ok=True)
        card = at[out / _MODEL] / "card.json"
        content: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
        content["training"] |= {
            "rounds": spec.rounds,
            "measurements": len(sets["train"]),
            "steps": content["training"]["steps"] * spec.rounds,
        }
        card.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return out / _MODEL


def _exact(prior: RadialGaussian, seed: int) -> Callable[[Measurement, list[int]], Tensor]:
    def draw(m: Measurement, numbers: list[int]) -> Tensor:
        generator = torch.Generator().manual_seed(derived_seed(seed, *numbers))

        def randn(like: Tensor) -> Tensor:
            noise = torch.randn(like.shape, dtype=like.dtype, generator=generator)
            return noise.to(like.device)

        return prior.posterior_draw(m, m.A.adjoint(m.y), randn)

    return draw


def _by_mmps(model: Path, recipe: Recipe, seed: int) -> Callable[[Measurement, list[int]], Tensor]:
    spec = recipe.expectation
    assert spec is not None
    loaded = from_pretrained(model).denoiser.to(current())

    def draw(m: Measurement, numbers: list[int]) -> Tensor:
        return mmps_draws(
            loaded,
            m,
            numbers,
            seed=seed,
            steps=spec.draw_steps,
            krylov=spec.krylov,
            sigma_max=spec.sigma_max,
            sigma_min=spec.sigma_min,
        )

    return draw


def _clock(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
