"""`sciddm models`: what is bundled, the cards, and the export of causal models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sciddm.pipelines.engine.console import output
from sciddm.pipelines.engine.option import bundled_models

__all__ = ["app"]

app = typer.Typer(help="Trained models: what they were trained on and how good they are.")


def _complete(incomplete: str) -> list[str]:
    return [name for name in bundled_models() if name.startswith(incomplete)]


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The bundled models."""
    from rich.table import Table

    from sciddm import zoo

    cards = zoo.list_models()
    if as_json:
        print(json.dumps([card.model_dump(mode="json") for card in cards], indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "summary", "licence"):
        table.add_column(column, overflow="fold")
    for card in cards:
        table.add_row(card.name, card.summary, str(getattr(card, "licence", "") or ""))
    output().print(table)


@app.command("info")
def model_info(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a model, a model folder or hub:OWNER/NAME.", autocompletion=_complete
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The card of a model: data, licence, split, metrics, coverage, limits."""
    from rich.table import Table

    from sciddm import zoo

    values = zoo.card(name).model_dump(mode="json")
    if as_json:
        print(json.dumps(values, indent=2))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in values.items():
        for line, (label, text) in enumerate(_rows(value)):
            heading = key.replace("_", " ") if line == 0 else ""
            table.add_row(heading, f"{label}: {text}" if label else text)
    output().print(table)


@app.command("import")
def import_network(
    source: Annotated[
        Path,
        typer.Argument(help="A diffusers folder (UNet2DModel), or weights of a DRUNet."),
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="The new model folder.")
    ],
    low: Annotated[
        float | None,
        typer.Option("--low", help="Data value that the network knows as -1 (DRUNet: 0)."),
    ] = None,
    high: Annotated[
        float | None, typer.Option("--high", help="Data value that the network knows as 1.")
    ] = None,
    data_std: Annotated[
        float | None, typer.Option("--data-std", help="Standard deviation of the data.")
    ] = None,
) -> None:
    """Make a model folder of a network that was trained with another package.

    Networks of two channels are priors of complex images, real part and imaginary part. Weights are
    read as numbers; nothing in the files is run. OUT is used by --model wherever the number of
    channels fits.
    """
    from sciddm.errors import OutputError
    from sciddm.zoo import save_model
    from sciddm.zoo.foreign_folder import import_model

    if target.exists():
        raise OutputError(f"{target}: exists already: give a new name")
    model, card = import_model(source, low=low, high=high, data_std=data_std)
    save_model(model, target, card.model_dump(mode="json") | {"name": target.name})
    print(target)


@app.command("push")
def push_model(
    name: Annotated[str, typer.Argument(help="A model folder, or the name of a bundled model.")],
    repository: Annotated[str, typer.Argument(metavar="hub:OWNER/NAME", help="Where to.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new one private.")] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="OWNER/NAME", help="Data set of the hub, for its page."),
    ] = None,
) -> None:
    """Send a model to a repository of the hub, which is made if it is not there.

    The card becomes the page of the repository. Log in with `hf auth login` before.
    """
    from sciddm import zoo
    from sciddm.zoo.hub import push

    print(push(zoo.find(name), repository, private=private, datasets=dataset or ()))


@app.command("pull")
def pull_model(
    repository: Annotated[
        str,
        typer.Argument(
            metavar="hub:OWNER/NAME", help="Of which model; @REVISION behind it names a state."
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Also copy it to a new folder."),
    ] = None,
) -> None:
    """Download a model from the hub, once, and check its weights.

    Afterwards `--model hub:OWNER/NAME` needs no network.
    """
    from sciddm.zoo.hub import copy_to, pull

    folder = pull(repository)
    if target is not None:
        copy_to(folder, target)
    print(folder if target is None else target)


@app.command("export")
def export_model(
    name: Annotated[
        str,
        typer.Argument(help="A model folder or hub:OWNER/NAME; the model must be causal."),
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="The new file, named .onnx.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Export a causal speech model as ONNX: one step with its state as inputs and outputs.

    Needs `pip install onnx onnxscript`. The file's metadata describe the spectrogram. All states
    begin at zero; `next_k` of a step is `state_k` of the following one.
    """
    from sciddm import zoo
    from sciddm.data_adapters.staging import staged
    from sciddm.errors import OutputError
    from sciddm.zoo.onnx_export import export_onnx

    if target.suffix.lower() != ".onnx":
        raise OutputError(f"{target}: the export is an ONNX file: name it .onnx")
    loaded = zoo.from_pretrained(name)
    with staged([target], overwrite) as at:
        export_onnx(
            loaded.model, at[target], name=loaded.name, representation=loaded.representation
        )
    print(target)


def _rows(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A card's entry as lines: nested mappings as `a / b: value`."""
    if isinstance(value, dict) and value:
        nested = [_rows(v, f"{prefix} / {k}" if prefix else str(k)) for k, v in value.items()]
        return [row for rows in nested for row in rows]
    if isinstance(value, list):
        if not any(isinstance(v, dict | list) for v in value):
            return [(prefix, ", ".join(str(v) for v in value))]
        return [row for v in value for row in _rows(v, prefix)]
    if value in (None, "", {}):
        return []
    text = str(value)
    # Arrays are kept as text that nobody reads; --json has them in full.
    return [(prefix, text if " " in text or len(text) <= 80 else f"{text[:20]}...")]
