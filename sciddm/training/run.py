"""Runs a recipe: data, Lightning trainer, checkpoints, and the finished model folder."""

from __future__ import annotations

import logging
import os
import platform
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
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
from sciddm.storage import claim, refusals_told, transaction
from sciddm.training.checkpoints import Checkpoints
from sciddm.training.duration import seconds_of
from sciddm.training.launch import Options, launch
from sciddm.training.log import PlainCheckpoints, TrainingLog
from sciddm.training.module import TrainingModule
from sciddm.training.progress import TrainingProgress, quiet_lightning
from sciddm.training.recipe import Recipe
from sciddm.training.rounds import train_in_rounds
from sciddm.training.stop import StopRequest
from sciddm.training.stream import Batches, NumberedItems, SeededItems, Stream
from sciddm.training.team import Team, joined, machine_devices
from sciddm.zoo.archive import check_archive
from sciddm.zoo.folder import save_model
from sciddm.zoo.pretrained import from_pretrained

__all__ = ["Strategy", "build", "train"]

Strategy = Literal["ddp", "ddp_find_unused_parameters_true"]

_MODEL = "model"
_log = logging.getLogger(__name__)


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
    devices: int | None = None,
    nodes: int | None = None,
    strategy: Strategy = "ddp",
) -> Path:
    """Trains and writes a model folder that ``from_pretrained`` reads.

    Several processes share each batch, whose size is that of the recipe: the loss is that of one
    process, up to rounding. A process that torchrun or srun has started joins the others.

    Args:
        recipe: what to train.
        out: folder for checkpoints (``checkpoints/last.ckpt``), the log (``metrics.csv``) and the
            finished model (``model/``). The log of an interrupted run is kept under the number of
            its steps (``metrics-to-40.csv``).
        resume: go on from the last checkpoint that is whole, if there is one, on any number of
            processes. The weights are then those of a training without a break, unless a limit of
            time decided its learning rate; on another number of processes, up to rounding.
        max_time: such as 2h or HH:MM:SS, in place of the recipe's; counts all runs together.
        progress: show how far it is.
        devices: processes of this machine, one a GPU where there are some; None for one a GPU, or
            one.
        nodes: machines that train together; None for one.
        strategy: how processes share the gradients, by Lightning's name:
            ``ddp_find_unused_parameters_true`` where a step may leave weights unused.

    Returns:
        The model folder: averaged weights in fp16 safetensors, configuration and card.

    Raises:
        BusyError: another process trains in that folder.
        InputError: there are fewer GPUs or items in a batch than processes.
        ModelError: the checkpoints are damaged.
        OutputError: the disk refuses; started again, the training goes on.
        TeamError: another process of the training ended.
        KeyboardInterrupt: SIGINT, after a checkpoint is saved; SIGTERM and SIGHUP likewise raise
            what their handlers do.
    """
    out = Path(out)
    if recipe.expectation is not None:
        if joined() is not None:
            raise InputError("expectation starts its processes itself: use --devices")
        limit = max_time or recipe.optimisation.max_time

        def one_round(part: Recipe, place: Path, clock: str | None) -> Path:
            return train(
                part,
                place,
                max_time=clock,
                progress=progress,
                devices=devices,
                nodes=nodes,
                strategy=strategy,
            )

        out.mkdir(parents=True, exist_ok=True)
        with claim([out / _MODEL]):
            return train_in_rounds(
                recipe, out, one_round, resume=resume, seconds=_seconds(limit), tell=_log.info
            )
    team = joined(devices, nodes)
    if team is None:
        count = machine_devices() if devices is None else devices
        if torch.cuda.is_available() and count > torch.cuda.device_count():
            raise InputError(f"--devices {count}: there are {torch.cuda.device_count()} GPUs")
        if count * (nodes or 1) > 1:
            _check_shares(recipe, count * (nodes or 1))
            options: Options = {
                "resume": resume,
                "max_time": max_time,
                "progress": progress,
                "strategy": strategy,
            }
            launch(recipe, out, count, nodes or 1, options)
            return out / _MODEL
        team = Team()
    _check_shares(recipe, team.ranks)
    stop = StopRequest()
    with stop.watched(), team.connected(), ExitStack() as stack:

        def prepare() -> None:
            with refusals_told(out):
                out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(claim([out / _MODEL]))

        team.first(prepare)
        model = _train(
            recipe, out, stop, team, strategy, resume=resume, max_time=max_time, progress=progress
        )
        team.maximum([0.0])  # the first process may still write the model
        return model


def _check_shares(recipe: Recipe, processes: int) -> None:
    size = recipe.optimisation.batch_size
    if processes > size:
        raise InputError(
            f"optimisation.batch_size {size}: fewer items than the {processes} processes that "
            "share them: give a larger one"
        )


def _train(
    recipe: Recipe,
    out: Path,
    stop: StopRequest,
    team: Team,
    strategy: Strategy,
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

    def choose() -> tuple[str, int] | None:
        if not resume:
            checkpoints.discard()
        newest = checkpoints.newest()
        return None if newest is None else (str(newest), _steps_of(newest))

    newest, steps = team.first(choose) or (None, 0)
    saved = time.monotonic()

    def save_due() -> bool:
        return time.monotonic() - saved > 60 * o.checkpoint_minutes

    def save() -> None:
        nonlocal saved
        with refusals_told(checkpoints.last):
            checkpoints.write(
                lambda path: trainer.save_checkpoint(path, weights_only=False),
                main_process=team.writes,
            )
        saved = time.monotonic()

    module = TrainingModule(
        build(recipe),
        recipe.noise,
        o,
        seconds,
        measure,
        team,
        on_start=stop.install,  # after Lightning has installed handlers of its own
        stop_number=lambda: stop.number or 0,
        save_due=save_due,
        save=save,
        weighting=recipe.weighting,
    )
    if o.compile:
        for network in _networks(module.model):
            network.compile()  # in place: names and weights stay as they are
    datasets = {
        split: dataset(**recipe.data.arguments, split=split, seed=o.seed)
        for split in ("train", "validate")
    }
    length = len(datasets["train"])
    stream = Stream(length, o.seed, steps * o.batch_size)
    training = DataLoader(
        SeededItems(datasets["train"], o.seed),
        batch_sampler=Batches(stream, o.batch_size, team.rank, team.ranks),
        num_workers=o.workers,
        persistent_workers=o.workers > 0,
    )
    count = len(datasets["validate"])
    # Each process needs one item at least; of fewer all have all, which is the same mean.
    numbers = range(team.rank, count, team.ranks) if count >= team.ranks else range(count)
    validation = DataLoader(
        NumberedItems(datasets["validate"], numbers),
        batch_size=-(-o.batch_size // team.ranks),
        num_workers=o.workers,
        persistent_workers=o.workers > 0,
    )
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_steps=o.steps,
            **_processes(team, strategy),
            precision=_precision(o.precision),
            gradient_clip_val=o.gradient_clip,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            # The stream has no end: an epoch is as many steps as would show every item once.
            val_check_interval=max(1, length // o.batch_size),
            check_val_every_n_epoch=None,
            logger=TrainingLog(out),
            plugins=[PlainCheckpoints()],
            default_root_dir=out,
            enable_progress_bar=progress,
            callbacks=[TrainingProgress()] if progress else [],
            enable_model_summary=False,
            log_every_n_steps=25,
            num_sanity_val_steps=0,
        )
    if steps and team.writes:
        with refusals_told(out / "metrics.csv"):
            _keep_log(out / "metrics.csv", steps)
    # A SIGTERM that comes before the first step has ended is Lightning's.
    with suppress(SIGTERMException), quiet_lightning():
        if o.patience is not None and not steps:
            # The first weights are the ones to be better than: those of ``start_from``.
            trainer.validate(module, validation, verbose=False)
        trainer.fit(module, training, validation, ckpt_path=newest, weights_only=True)
    save()
    module.check_averages()
    if module.stopped_by:
        stop.number = module.stopped_by  # whichever process it reached
    if stop.number is not None or not team.writes:
        return out / _MODEL
    with refusals_told(out / _MODEL), transaction([out / _MODEL], folders=[out / _MODEL]) as at:
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


class _Parallel(DDPStrategy):
    """Gradients are averaged over the processes; each validates its own items by itself.

    Through the wrapped model, processes with more items would wait for those with fewer.
    """

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        assert self.lightning_module is not None
        with self.precision_plugin.val_step_context():
            return self.lightning_module.validation_step(*args, **kwargs)


def _processes(team: Team, strategy: Strategy) -> dict[str, Any]:
    """Arguments of the trainer: how its processes share the work."""
    if team.alone:
        return {"devices": 1}
    ddp = _Parallel(
        cluster_environment=TorchElasticEnvironment(),
        find_unused_parameters=strategy.endswith("_true"),
    )
    return {"devices": team.local_ranks, "num_nodes": team.nodes, "strategy": ddp}


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
        "processes": module.team.ranks,
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
    return None if text is None else seconds_of(text)
