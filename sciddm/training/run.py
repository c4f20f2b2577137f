"""Runs a recipe: data, Lightning trainer, checkpoints, and the finished model folder."""

from __future__ import annotations

import os
import platform
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn
from torch.utils.data import DataLoader

from sciddm.errors import InputError, ModelError
from sciddm.models import AnyModel, build_model, network_of
from sciddm.networks.causal_dual_path import CausalDualPath
from sciddm.networks.dual_path import DualPathNetwork
from sciddm.networks.spectrogram import SpectrogramUNet
from sciddm.networks.unet import UNet
from sciddm.precision import native_precision
from sciddm.priors.autoencoder import Autoencoder, LatentDiffusion
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.storage import claim, transaction
from sciddm.training.checkpoints import Checkpoints
from sciddm.training.module import TrainingModule
from sciddm.training.recipe import Recipe
from sciddm.training.stop import StopRequest
from sciddm.training.stream import SeededItems, Stream
from sciddm.zoo.archive import check_archive
from sciddm.zoo.folder import save_model
from sciddm.zoo.pretrained import from_pretrained

__all__ = ["build", "train"]

_MODEL = "model"


def build(recipe: Recipe) -> AnyModel:
    """The recipe's model; its weights are untrained, or those of ``start_from``.

    A recipe with predictor and denoiser can also start from a predictor alone; the denoiser's
    network then begins with the predictor's features, which saves it most of the way. One with
    autoencoder and denoiser can start from an autoencoder alone. A predictor can start from a
    model that has one. A UNet with conditioning can start from one without, blind to it; a
    CausalDualPath from a DualPathNetwork.

    Raises:
        InputError: the weights of ``start_from`` do not fit the recipe's model.
    """
    torch.manual_seed(recipe.optimisation.seed)
    try:
        model = build_model(recipe.sections())
    except ValueError as error:
        raise InputError(f"recipe {recipe.name}: {error}") from error
    if recipe.start_from is not None:
        start = from_pretrained(recipe.start_from).model
        alone = isinstance(model, StochasticRegeneration) and isinstance(start, Predictor)
        target: AnyModel = model
        if isinstance(model, Predictor) and isinstance(start, StochasticRegeneration):
            start = start.predictor
        if isinstance(model, StochasticRegeneration) and alone:
            target = model.predictor
        elif isinstance(model, LatentDiffusion) and isinstance(start, Autoencoder):
            target = model.autoencoder
        try:
            if type(target) is not type(start):
                raise RuntimeError(f"{type(start).__name__} in place of {type(target).__name__}")
            mine, theirs = network_of(target), network_of(start)
            unets = isinstance(mine, UNet) and isinstance(theirs, UNet)
            two_sided = isinstance(mine, CausalDualPath) and isinstance(theirs, DualPathNetwork)
            if unets or two_sided:
                mine.adopt(theirs)  # type: ignore[operator]
            else:
                mine.load_state_dict(theirs.state_dict())
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"start_from: the weights of {recipe.start_from!r} do not fit this recipe's model"
            ) from error
        if alone:
            _share_features(model)
    return model


def _share_features(model: AnyModel) -> None:
    """The denoiser's network begins with the features of the predictor's, if it can take them."""
    assert isinstance(model, StochasticRegeneration)
    mine, theirs = model.denoiser.network, model.predictor.network
    for kind in (SpectrogramUNet, DualPathNetwork):
        if isinstance(mine, kind) and isinstance(theirs, kind):
            with suppress(ValueError):  # another size: it begins untrained
                mine.adopt(theirs)  # type: ignore[arg-type]


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
            finished model (``model/``). The log of an interrupted run is kept under the number of
            its steps (``metrics-to-40.csv``).
        resume: go on from the last checkpoint that is whole, if there is one. The weights are then
            those of a training without a break, unless a limit of time decided its learning rate.
        max_time: HH:MM:SS in place of the recipe's; counts all runs together.
        progress: show Lightning's progress bar.

    Returns:
        The model folder: averaged weights in fp16 safetensors, configuration and card.

    Raises:
        BusyError: another process trains in that folder.
        ModelError: the checkpoints are damaged.
        KeyboardInterrupt: SIGINT, after a checkpoint is saved; SIGTERM and SIGHUP likewise raise
            what their handlers do.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    stop = StopRequest()
    with claim([out / _MODEL]), stop.watched():
        return _train(recipe, out, stop, resume=resume, max_time=max_time, progress=progress)


def _train(
    recipe: Recipe,
    out: Path,
    stop: StopRequest,
    *,
    resume: bool,
    max_time: str | None,
    progress: bool,
) -> Path:
    """`train` in a folder that is claimed; returns early where a signal asks it to."""
    o = recipe.optimisation
    seconds = _seconds(max_time or o.max_time)
    lightning.seed_everything(o.seed, workers=True, verbose=False)
    dataset = recipe.data.load()
    measure = getattr(dataset, "measurement", None)
    checkpoints = Checkpoints(out / "checkpoints")
    if not resume:
        checkpoints.discard()
    saved = time.monotonic()

    def after_step() -> bool:
        nonlocal saved
        if time.monotonic() - saved > 60 * o.checkpoint_minutes:
            save()
            saved = time.monotonic()
        return stop.number is None

    module = TrainingModule(
        build(recipe),
        recipe.noise,
        o,
        seconds,
        measure,
        on_start=stop.install,  # after Lightning has installed handlers of its own
        after_step=after_step,
    )
    if o.compile:
        for network in _networks(module.model):
            network.compile()  # in place: names and weights stay as they are
    datasets = {
        split: dataset(**recipe.data.arguments, split=split, seed=o.seed)
        for split in ("train", "validate")
    }
    newest = checkpoints.newest()
    steps = 0 if newest is None else _steps_of(newest)
    length = len(datasets["train"])
    training = DataLoader(
        SeededItems(datasets["train"], o.seed),
        batch_size=o.batch_size,
        sampler=Stream(length, o.seed, steps * o.batch_size * _processes()),
        num_workers=o.workers,
        persistent_workers=o.workers > 0,
    )
    validation = DataLoader(
        datasets["validate"],
        batch_size=o.batch_size,
        num_workers=o.workers,
        persistent_workers=o.workers > 0,
    )
    trainer = lightning.Trainer(
        max_steps=o.steps,
        precision=_precision(o.precision),
        gradient_clip_val=o.gradient_clip,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        # The stream has no end: an epoch is as many steps as would show every item once.
        val_check_interval=max(1, length // (o.batch_size * _processes())),
        check_val_every_n_epoch=None,
        logger=CSVLogger(out, name="", version=""),
        default_root_dir=out,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=25,
        num_sanity_val_steps=0,
    )

    def save() -> None:
        checkpoints.write(
            lambda path: trainer.save_checkpoint(path, weights_only=False),
            main_process=trainer.is_global_zero,
        )

    if steps and trainer.is_global_zero:
        _keep_log(out / "metrics.csv", steps)
    # A SIGTERM that comes before the first step has ended is Lightning's.
    with suppress(SIGTERMException), warnings.catch_warnings():
        # The folder holds the claim and the checkpoints.
        warnings.filterwarnings("ignore", "Experiment logs directory")
        if o.patience is not None and not steps:
            # The first weights are the ones to be better than: those of ``start_from``.
            trainer.validate(module, validation, verbose=False)
        trainer.fit(
            module,
            training,
            validation,
            ckpt_path=None if newest is None else str(newest),
            weights_only=True,
        )
    save()
    if stop.number is not None or not trainer.is_global_zero:
        return out / _MODEL
    with transaction([out / _MODEL], folders=[out / _MODEL]) as at:
        save_model(
            module.finished,
            at[out / _MODEL],
            card={
                **recipe.card,
                "name": recipe.name,
                "summary": recipe.summary,
                "training": _history(trainer, module),
            },
            representation=getattr(datasets["train"], "representation", None),
        )
    return out / _MODEL


def _keep_log(log: Path, steps: int) -> None:
    """The log of an interrupted run gets another name: Lightning begins a new one in its place."""
    if log.exists():
        os.replace(log, log.with_name(f"{log.stem}-to-{steps}{log.suffix}"))


def _steps_of(checkpoint: Path) -> int:
    """The steps that a checkpoint comes after.

    Raises:
        ModelError: it cannot be read, or holds more than tensors and plain values.
    """
    check_archive(checkpoint)
    try:
        held = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return int(held["global_step"])
    except Exception as error:  # torch raises a dozen kinds on a damaged file
        raise ModelError(
            f"{checkpoint}: no checkpoint of this version ({' '.join(str(error).split())[:120]}): "
            "start with --fresh"
        ) from error


def _processes() -> int:
    """Processes that train together, as the launcher counts them."""
    return int(os.environ.get("WORLD_SIZE", 1))


def _networks(model: AnyModel) -> list[nn.Module]:
    if isinstance(model, StochasticRegeneration):
        return [model.predictor.network, model.denoiser.network]
    if isinstance(model, LatentDiffusion):
        return [model.denoiser.network]
    return [model.network]


def _history(trainer: lightning.Trainer, module: TrainingModule) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "steps": trainer.global_step,
        "hours": round(module.elapsed / 3600, 2),
        "hardware": torch.cuda.get_device_name()
        if on_gpu
        else f"{torch.get_num_threads()} CPU cores ({platform.machine()})",
        "batch_size": module.optimisation.batch_size,
        "validation_loss": module.finished_loss,
    }


def _precision(name: str) -> Any:
    """Lightning's name; emulated bfloat16 takes eight times as long as float32."""
    if name != "auto":
        return name
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"float32": "32", "bfloat16": "bf16-mixed"}[native_precision(device)]


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
