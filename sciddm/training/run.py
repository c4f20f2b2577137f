"""Runs a recipe: data, Lightning trainer, checkpoints, and the finished model folder."""

from __future__ import annotations

import platform
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.networks import build_network
from sciddm.process import process_from_config
from sciddm.training.module import DenoiserModule
from sciddm.training.recipe import Recipe
from sciddm.zoo.folder import save_model

__all__ = ["build_denoiser", "train"]


def build_denoiser(recipe: Recipe) -> NetworkDenoiser:
    """The recipe's denoiser with an untrained network."""
    torch.manual_seed(recipe.optimisation.seed)
    spec = recipe.denoiser
    return NetworkDenoiser(
        build_network(recipe.network),
        process_from_config(recipe.process),
        spec.parametrization,
        data_std=spec.data_std,
        scale=spec.scale,
        center=spec.center,
        complex_data=spec.complex_data,
    )


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = True,
    max_time: str | None = None,
    progress: bool = True,
) -> Path:
    """Trains and writes a model folder that ``from_pretrained`` reads.

    Args:
        recipe: what to train.
        out: folder for checkpoints (``checkpoints/last.ckpt``), the log (``metrics.csv``) and the
            finished model (``model/``).
        resume: go on from ``last.ckpt`` if there is one.
        max_time: HH:MM:SS in place of the recipe's; counts all runs together.
        progress: show Lightning's progress bar.

    Returns:
        The model folder: averaged weights in fp16 safetensors, configuration and card.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    o = recipe.optimisation
    seconds = _seconds(max_time or o.max_time)
    lightning.seed_everything(o.seed, workers=True, verbose=False)
    module = DenoiserModule(build_denoiser(recipe), recipe.noise, o, seconds)
    if o.compile:
        module.denoiser.network.compile()  # in place: names and weights stay as they are
    dataset = recipe.data.load()
    loaders = {
        split: DataLoader(
            dataset(**recipe.data.arguments, split=split, seed=o.seed),
            batch_size=o.batch_size,
            shuffle=split == "train",
            num_workers=o.workers,
            drop_last=split == "train",
            persistent_workers=o.workers > 0,
        )
        for split in ("train", "validate")
    }
    checkpoint = ModelCheckpoint(
        out / "checkpoints",
        filename="{step}",
        save_last=True,
        save_top_k=1,
        train_time_interval=timedelta(minutes=o.checkpoint_minutes),
    )
    trainer = lightning.Trainer(
        max_steps=o.steps,
        precision=o.precision,
        gradient_clip_val=o.gradient_clip,
        callbacks=[checkpoint],
        logger=CSVLogger(out, name="", version=""),
        default_root_dir=out,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=25,
        num_sanity_val_steps=0,
    )
    last = out / "checkpoints" / "last.ckpt"
    trainer.fit(
        module,
        loaders["train"],
        loaders["validate"],
        ckpt_path=str(last) if resume and last.exists() else None,
        weights_only=False,  # our own checkpoint, with optimizer and loop state
    )
    trainer.save_checkpoint(last)
    return export(recipe, module, out / "model", _history(trainer, module))


def export(recipe: Recipe, module: DenoiserModule, folder: Path, history: dict[str, Any]) -> Path:
    """Writes the averaged weights as a model folder."""
    module.denoiser.network = module.ema.module
    save_model(
        module.denoiser,
        folder,
        card={**recipe.card, "name": recipe.name, "summary": recipe.summary, "training": history},
    )
    return folder


def _history(trainer: lightning.Trainer, module: DenoiserModule) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "steps": trainer.global_step,
        "hours": round(module.elapsed / 3600, 2),
        "hardware": torch.cuda.get_device_name()
        if on_gpu
        else f"{torch.get_num_threads()} CPU cores ({platform.machine()})",
        "batch_size": module.optimisation.batch_size,
        "validation_loss": float(trainer.callback_metrics.get("val_loss", torch.nan)),
    }


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        hours, minutes, seconds = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(f"max_time {text!r} is not of the form HH:MM:SS") from error
    total = 3600.0 * hours + 60.0 * minutes + seconds
    if total <= 0:
        raise InputError(f"max_time {text!r} leaves no time to train")
    return total
