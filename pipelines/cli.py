"""The command line: `sciddm DOMAIN VERB INPUT... -o OUTPUT`, and what is common to all domains.

Start-up is kept quick: a domain adds its verbs in a module that imports nothing heavy, and
commands import what they need when they run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciddm import __version__
from sciddm.allocator import keep_freed_memory
from sciddm.data_adapters.isolation import copy_caller
from sciddm.errors import SciddmError
from sciddm.pipelines.commands.demo import demo
from sciddm.pipelines.commands.docs import docs
from sciddm.pipelines.commands.doctor import doctor
from sciddm.pipelines.commands.methods import app as methods
from sciddm.pipelines.commands.models import app as models
from sciddm.pipelines.commands.results import results
from sciddm.pipelines.commands.train import train
from sciddm.pipelines.commands.verify import verify
from sciddm.pipelines.domains import DOMAINS, load_domain
from sciddm.pipelines.engine.collector import collect_seldom
from sciddm.pipelines.engine.console import say, spoken
from sciddm.pipelines.engine.signals import exit_code, stop_on_signals
from sciddm.pipelines.engine.streams import steady_output
from sciddm.pipelines.engine.threads import wait_briefly

__all__ = ["app", "main"]

#: Context keys, as in `engine.commands`.
DEBUG, ARGUMENTS = "debug", "arguments"

_INTERRUPTED = 130


class LazyDomain(TyperGroup):
    """A domain whose verbs are loaded when one of them, or its help, is asked for."""

    def _load(self) -> TyperGroup:
        if not self.commands:
            assert self.name is not None
            from sciddm.pipelines.engine.commands import domain_app

            loaded = typer.main.get_command(domain_app(load_domain(self.name)))
            self.commands = getattr(loaded, "commands", {})
        return self

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._load().commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._load().commands.get(cmd_name)


class CommandLine(TyperGroup):
    """Answers every error with one line on stderr and the exit codes of `execute`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*DOMAINS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in DOMAINS:
            return LazyDomain(
                name=cmd_name,
                help=DOMAINS[cmd_name],
                no_args_is_help=True,
                rich_markup_mode="markdown",
            )
        return super().get_command(ctx, cmd_name)

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
            copy_caller()
            keep_freed_memory()
            collect_seldom()
            wait_briefly()
            stop_on_signals()
            steady_output()
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
            sys.exit(_flushed(code))
        return code


def _flushed(code: int) -> int:
    """The exit code, when all that was printed has left the process."""
    sys.stdout.flush()
    failure = getattr(sys.stdout, "failure", None)
    if failure is not None:
        say("error", f"standard output cannot be written ({failure.strerror})")
        return code or 1
    return code


def _answer(error: Exception) -> int:
    """Says what is wrong; returns the exit code."""
    if isinstance(error, SciddmError):
        say("error", spoken(error))
        return 2
    # A misuse of the command line, known by what it can do: the class moved between versions.
    spoken_by = getattr(error, "format_message", None)
    if spoken_by is not None:
        message = str(spoken_by())
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
    context.meta[ARGUMENTS] = (context.obj or {}).get("arguments", [])


app.add_typer(models, name="models", no_args_is_help=True)
app.add_typer(methods, name="methods", no_args_is_help=True)
for _function in (results, verify, train, demo, doctor, docs):
    app.command()(_function)


def main() -> None:
    """The `sciddm` command."""
    app()


if __name__ == "__main__":
    main()
