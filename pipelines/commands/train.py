"""`sciddm train`: a model by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sciddm.extras import extra
from sciddm.pipelines.engine.threads import use_threads

__all__ = ["train"]


def train(
    recipe: Annotated[
        Path, typer.Argument(help="Name of a bundled recipe (mri-brain), or a YAML file.")
    ],
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
        str | None, typer.Option(help="HH:MM:SS of training, all runs of it together.")
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
) -> None:
    """Train a model by a recipe; goes on where an earlier run of it stopped."""
    from sciddm.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    use_threads(threads)
    with extra("train", "training"):
        from sciddm.training.run import train as run_training

    folder = target if target is not None else Path("runs") / loaded.name
    made = run_training(
        loaded,
        folder,
        resume=not fresh,
        max_time=max_time,
        devices=devices,
        nodes=nodes,
        strategy=strategy,
    )
    print(made)
