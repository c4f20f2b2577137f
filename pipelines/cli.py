"""The command line: `sciddm DOMAIN VERB INPUT... -o OUTPUT`, and what is common to all domains.

Start-up is kept quick: a domain adds its verbs in a module that imports nothing heavy, and
commands import what they need when they run.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciddm import __version__
from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.command import DEBUG
from sciddm.pipelines.engine.allocator import keep_freed_memory
from sciddm.pipelines.engine.collector import collect_seldom
from sciddm.pipelines.engine.console import output, say
from sciddm.pipelines.options import Threads, check_quality, use_threads
from sciddm.pipelines.signals import exit_code, stop_on_signals

__all__ = ["DOMAINS", "app", "main"]

#: Domains: each a package with its verbs in `cli.app` and `demo.run_demo(folder, quality)`.
DOMAINS = ("mri", "ct", "speech", "hsi", "ultrasound", "petct")
_INTERRUPTED = 130
_STATES = {
    "changed": "is not what was written with its JSON file",
    "missing": "is missing",
    "unchecked": "lists no checksums: it was written by an earlier version",
}


class CommandLine(TyperGroup):
    """Answers every error with one line on stderr and the exit codes of `command`."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line; ends the process with its exit code if standalone."""
        arguments = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in arguments  # at the end of a line that failed is where it is added
        arguments = [a for a in arguments if a != "--debug"]
        shown = list(arguments)
        if debug:
            arguments.insert(0, "--debug")
        if standalone_mode:  # the process is ours
            keep_freed_memory()
            collect_seldom()
            stop_on_signals()
        try:
            code = super().main(
                args=arguments,
                prog_name=prog_name or "sciddm",
                complete_var=complete_var,
                standalone_mode=False,
                obj={"arguments": shown},
                **extra,
            )
        except Exception as error:
            if debug:
                traceback.print_exception(error, file=sys.stderr)
            code = _answer(error)
        code = code if isinstance(code, int) else 0
        if code == _INTERRUPTED:
            code = exit_code()
            say("error", "stopped; outputs that were finished are kept")
        if standalone_mode:
            sys.exit(code)
        return code


def _answer(error: Exception) -> int:
    """Says what is wrong; returns the exit code."""
    if isinstance(error, SciddmError):
        say("error", str(error))
        return 2
    # A misuse of the command line, known by what it can do: the class moved between versions.
    if hasattr(error, "format_message"):
        message = str(error.format_message())
        if message:
            path = getattr(getattr(error, "ctx", None), "command_path", "sciddm")
            say("error", f"{message.rstrip('.')} (see {path} --help)")
        return int(getattr(error, "exit_code", 2))
    say("error", f"unexpected {type(error).__name__}: {error} (--debug shows where)")
    return 1


app = typer.Typer(
    name="sciddm",
    cls=CommandLine,
    rich_markup_mode="markdown",
    help="Diffusion models for people who measure things.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(help="Trained models: what they were trained on and how good they are.")
app.add_typer(models, name="models", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"sciddm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Diffusion models for people who measure things."""
    context.meta[DEBUG] = debug
    context.meta["arguments"] = (context.obj or {}).get("arguments", [])


@models.command("list")
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


@models.command("info")
def model_info(
    name: Annotated[str, typer.Argument(help="Name of a model, a model folder or a hub id.")],
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


@app.command()
def verify(
    outputs: Annotated[
        list[Path], typer.Argument(help="Outputs, their JSON files, or folders of outputs.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that outputs are whole and belong together, by the checksums in their JSON files."""
    from sciddm.data_adapters.commit import verify as checks_of

    checks = checks_of(outputs)
    if as_json:
        listed = [
            {"path": str(c.path), "state": c.state, "listed_in": str(c.listed_in)} for c in checks
        ]
        print(json.dumps(listed, indent=2))
    bad = [c for c in checks if c.state in ("changed", "missing")]
    for check in checks if not as_json else ():
        if check.state != "whole":
            say("error" if check in bad else "note", f"{check.path}: {_STATES[check.state]}")
    if not as_json:
        whole = sum(c.state == "whole" for c in checks)
        print(f"{whole} of {len(checks)} outputs are whole")
    if bad:
        raise typer.Exit(1)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (YAML), see recipes/.")],
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
    threads: Threads = None,
) -> None:
    """Train a model by a recipe; goes on where an earlier run of it stopped."""
    from sciddm.training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    use_threads(threads)
    from sciddm.training.run import train as run_training

    folder = target if target is not None else Path("runs") / loaded.name
    made = run_training(loaded, folder, resume=not fresh, max_time=max_time)
    print(made)


@app.command()
def demo(
    domain: Annotated[str, typer.Argument(help=f"One of: {', '.join(DOMAINS)}.")] = "mri",
    target: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "sciddm-demo"
    ),
    quality: Annotated[str, typer.Option(help="fast, balanced or best.")] = "balanced",
    threads: Threads = None,
) -> None:
    """Simulate a measurement, reconstruct it with the bundled model, and write the report.

    Needs no file. Results of an earlier demo in the same folder are replaced.
    """
    if domain not in DOMAINS:
        raise InputError(f"no demo for '{domain}': there is {', '.join(DOMAINS)}")
    check_quality(quality)
    use_threads(threads)
    importlib.import_module(f"sciddm.pipelines.{domain}.demo").run_demo(target, quality)


for _name in DOMAINS:
    app.add_typer(importlib.import_module(f"sciddm.pipelines.{_name}.cli").app, name=_name)


def main() -> None:
    """The `sciddm` command."""
    app()


if __name__ == "__main__":
    main()
