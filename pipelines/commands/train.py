"""`sciddm train`: a model by a recipe, or a prior of one's own from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from sciddm.errors import OptionError
from sciddm.extras import extra
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.engine.threads import use_threads

__all__ = ["train"]

#: Levels that the checks of a model calibrate.
_CHECKED: tuple[Quality, ...] = ("fast", "balanced")


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Name of a bundled recipe (mri-brain), or a YAML file."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Values in place of the recipe's, optimisation.lr=1e-4."
        ),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run [runs/NAME].")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Of training, all runs of it together: 2h, 90min, HH:MM:SS.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Start anew, not from the last checkpoint.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads to use.")] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Processes of this machine [one a GPU, or one].")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Machines that train together.")] = None,
    strategy: Annotated[
        Literal["ddp", "ddp_find_unused_parameters_true"],
        typer.Option(help="How processes share gradients: _true where steps leave weights unused."),
    ] = "ddp",
    domain: Annotated[
        str | None,
        typer.Option(help="Train on --data: mri, ct, hsi, petct, speech, ultrasound, images."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of training data.")] = None,
    measurements: Annotated[
        Path | None,
        typer.Option(help="Folder of undersampled k-space: train on it alone (--domain mri)."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Model to fine-tune, such as mri-brain.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder of the --from model's own kind of data, to draw a quarter from."),
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(help="What tells patients apart: patient (DICOM), folder, stem, file."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the data, for the card.")] = "",
    name: Annotated[str, typer.Option(help="Name of the model [own-DOMAIN].")] = "",
    quality: Annotated[
        list[str] | None,
        typer.Option(help="Levels that the checks calibrate, repeated [fast, balanced]."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --data: ten steps and the time of the whole.")
    ] = False,
) -> None:
    """Train a model by a recipe, or on a folder (--domain, --data); goes on where it stopped."""
    use_threads(threads)
    if measurements is not None:
        if domain != "mri" or data is not None:
            raise OptionError("measurements", "goes with --domain mri, and without --data")
        values = [*([recipe] if recipe is not None else []), *(overrides or ())]
        # Quoted: a path may hold what YAML reads otherwise.
        overrides = [*values, f"data.arguments.folder={json.dumps(str(measurements))}"]
        recipe, domain = "mri-from-kspace", None
    if data is None:
        if recipe is None:
            raise OptionError("recipe", "name a recipe, or --domain with --data or --measurements")
        _needs_data(domain=domain, start=start, keep=keep, check=check or None)
        from sciddm.training.recipe import load_recipe

        loaded = load_recipe(recipe, overrides or ())
        with extra("train", "training"):
            from sciddm.training.run import train as run_training

        folder = target if target is not None else Path("runs") / loaded.name
        model = run_training(
            loaded,
            folder,
            resume=not fresh,
            max_time=max_time,
            devices=devices,
            nodes=nodes,
            strategy=strategy,
        )
        print(model)
        return
    if domain is None:
        raise OptionError("domain", "say of which domain the folder's data are")
    values = [*([recipe] if recipe is not None else []), *(overrides or ())]
    if nodes is not None:
        raise OptionError("nodes", "with --data on one machine; then train RUN/recipe.yaml on many")
    plain = [value for value in values if "=" not in value]
    if plain:
        raise OptionError("recipe", f"{plain[0]}: with --data the recipe is made: leave it out")
    with extra("train", "training"):
        from sciddm.pipelines.own_prior.run import OwnPrior, checked_plan, train_own_prior

    plan = OwnPrior(
        domain=domain,
        data=data,
        start=start,
        keep=keep,
        split_by=split_by,
        licence=licence,
        name=name,
        max_time=max_time,
        overrides=tuple(values),
        qualities=_levels(quality),
        devices=devices,
    )
    run = target if target is not None else Path("runs") / (name or f"own-{domain}")
    if check:
        checked_plan(plan, run, say=print)
        return
    print(train_own_prior(plan, run, fresh=fresh, say=print))


def _levels(names: list[str] | None) -> tuple[Quality, ...]:
    """The quality levels of these names."""
    unknown = [name for name in names or () if name not in get_args(Quality)]
    if unknown:
        raise OptionError("quality", f"take fast, balanced or best, not {unknown[0]}")
    return tuple(level for level in get_args(Quality) if level in (names or _CHECKED))


def _needs_data(**options: object) -> None:
    """Refuses options that only a folder of data has a use for."""
    for option, value in options.items():
        if value is not None:
            raise OptionError(option, "belongs to --data: name the folder of training data")
