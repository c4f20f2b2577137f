"""Commands of the command line, made of verbs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer

from sciddm.pipelines.engine.action import Action
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.domain import Domain
from sciddm.pipelines.engine.execute import Running, execute
from sciddm.pipelines.engine.request import Declared
from sciddm.pipelines.engine.scores import print_scores
from sciddm.pipelines.engine.threads import use_threads
from sciddm.pipelines.engine.verb import Transform, Verb
from sciddm.pipelines.engine.words import flag
from sciddm.pipelines.engine.workers.parallel import ALONE, WHOLE, Parallel, Part, bytes_of

__all__ = ["ARGUMENTS", "DEBUG", "domain_app"]

#: Context keys under which the root command keeps --debug and the words of the command line.
DEBUG, ARGUMENTS = "debug", "arguments"
_SIMPLE = (bool, int, float, str, Path)

_Report = Annotated[bool, typer.Option("--report", help="Also write an HTML report.")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
_Json = Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of a table.")]
_Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Processor threads to use.")]
_MANY = "Many inputs"
_Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        help="Search subfolders, too; outputs lie in subfolders of the same names.",
        rich_help_panel=_MANY,
    ),
]
_Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Do what arrives in the input folder, until the command is stopped.",
        rich_help_panel=_MANY,
    ),
]
_Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        min=1,
        help="Worker processes; each keeps its models and has its share of the threads.",
        rich_help_panel=_MANY,
    ),
]
_Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler (tcp://host:8786) whose workers do the items.",
        rich_help_panel=_MANY,
    ),
]
_Part = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Do part I of N of the items: one command each in a job array.",
        rich_help_panel=_MANY,
    ),
]
_Tries = Annotated[
    int,
    typer.Option(
        "--tries",
        min=1,
        help="Workers that one item may cost before it counts as failed.",
        rich_help_panel=_MANY,
    ),
]
_Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Memory of each worker, such as 4G; one that needs more is ended.",
        rich_help_panel=_MANY,
    ),
]


def domain_app(domain: Domain) -> typer.Typer:
    """The command ``sciddm DOMAIN`` with a command for each verb."""
    app = typer.Typer(help=domain.help, no_args_is_help=True, rich_markup_mode="markdown")

    @app.callback(help=domain.help)
    def group() -> None:
        """Keeps a domain of one verb a group."""

    for verb in domain.verbs:
        app.command(verb.name, help=verb.help)(_function(verb))
    return app


def _function(verb: Verb[..., Any]) -> Callable[..., None]:
    """A function with the signature that typer makes a command of."""
    if isinstance(verb, Transform):
        leading, trailing, body = _of_transform(verb)
    elif isinstance(verb, Comparison):
        leading, trailing, body = _of_comparison(verb)
    elif isinstance(verb, Action):
        leading, trailing, body = _of_action(verb)
    else:
        raise TypeError(f"{verb!r}: no command can be made of it")
    options = [_parameter(name, declared) for name, declared in verb.request.declared().items()]

    def command(context: typer.Context, **values: Any) -> None:
        given = {
            name: _list(values[name])
            for name in verb.request.declared()
            # What is not given is left to the request, which so knows what was.
            if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"
        }
        code = body(context, verb.request.of(given), values)
        if code:
            raise typer.Exit(code)

    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [first.replace(annotation=typer.Context), *leading, *options, *trailing]
    ordered = sorted(parameters, key=lambda p: p.default is not inspect.Parameter.empty)
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in ordered}
    command.__name__ = verb.__name__
    return command


Body = Callable[[typer.Context, Any, dict[str, Any]], int]
Parts = tuple[list[inspect.Parameter], list[inspect.Parameter], Body]


def _of_transform(verb: Transform[..., Any, Any]) -> Parts:
    leading = []
    source = verb.source
    many = source is not None and not source.option and not verb.target.single
    if source is not None and source.option:
        leading.append(
            _keyword("inputs", Annotated[Path, typer.Option(source.option, help=source.help)])
        )
    elif source is not None:
        several = list[Path]
        leading.append(
            _keyword("inputs", Annotated[several, typer.Argument(metavar="IN", help=source.help)])
        )
    output = typer.Option("-o", "--output", metavar="OUT", help=verb.target.help)
    if verb.target.optional:
        leading.append(_keyword("target", Annotated[Path | None, output], None))
    else:
        leading.append(_keyword("target", Annotated[Path, output]))
    trailing = []
    if verb.target.formats:
        forms: Any = cast(Any, Literal)[verb.target.formats]
        told = (
            "Format of outputs in a folder." + " Default: that of each input." * verb.target.follow
        )
        option = typer.Option("--format", help=told)
        trailing.append(_keyword("form", Annotated[forms | None, option], None))
    if verb.page is not None:
        trailing.append(_keyword("report", _Report, False))
    trailing += [
        _keyword("overwrite", _Overwrite, False),
        _keyword("as_json", _Json, False),
        _keyword("threads", _Threads, None),
    ]
    if many:
        trailing += [
            _keyword("recursive", _Recursive, False),
            _keyword("watch", _Watch, False),
            _keyword("jobs", _Jobs, 1),
            _keyword("part", _Part, None),
            _keyword("tries", _Tries, 2),
            _keyword("memory", _Memory, None),
        ]
        if "scheduler" not in verb.request.declared():
            trailing.append(_keyword("scheduler", _Scheduler, None))

    def body(context: typer.Context, request: Any, values: dict[str, Any]) -> int:
        root = context.find_root().meta
        parallel = _parallel(values) if many else ALONE
        running = Running(
            report=values.get("report", False),
            overwrite=values["overwrite"],
            as_json=values["as_json"],
            form=values.get("form"),
            debug=bool(root.get(DEBUG)),
            arguments=tuple(map(str, root.get(ARGUMENTS, ()))),
            recursive=values.get("recursive", False),
            parallel=parallel,
            watch=values.get("watch", False),
        )
        inputs = values.get("inputs", [])
        if not parallel.divides:
            use_threads(values["threads"])
        return execute(
            verb,
            [inputs] if isinstance(inputs, Path) else inputs,
            values["target"],
            request,
            running,
        )

    return leading, trailing, body


def _parallel(values: dict[str, Any]) -> Parallel:
    memory, part = values["memory"], values["part"]
    return Parallel(
        jobs=values["jobs"],
        scheduler=values.get("scheduler"),
        part=WHOLE if part is None else Part.of(part),
        tries=values["tries"],
        memory=None if memory is None else bytes_of(memory),
        threads=values["threads"],
    )


def _of_comparison(verb: Comparison[..., Any, Any]) -> Parts:
    first, second = verb.flags
    reference = typer.Option(
        *([first] if first else []),
        "--reference",
        help=f"Reference: a {verb.kind}, or a folder of them.",
    )
    estimate = typer.Option(
        *([second] if second else []),
        "--estimate",
        help=f"Estimate: a {verb.kind}, or a folder with the names of the references.",
    )
    leading = [_keyword("estimate", Annotated[Path, estimate])]
    if verb.needs_reference:
        leading.insert(0, _keyword("reference", Annotated[Path, reference]))
    else:
        leading.append(_keyword("reference", Annotated[Path | None, reference], None))

    def body(context: typer.Context, request: Any, values: dict[str, Any]) -> int:
        scores = verb.scores(values["reference"], values["estimate"], request, values["jobs"])
        print_scores(scores, values["as_json"])
        return 0 if scores.complete else 1

    return leading, [_keyword("jobs", _Jobs, 1), _keyword("as_json", _Json, False)], body


def _of_action(verb: Action[..., Any]) -> Parts:
    def body(context: typer.Context, request: Any, values: dict[str, Any]) -> int:
        use_threads(values["threads"])
        return verb.done(request)

    return [], [_keyword("threads", _Threads, None)], body


def _parameter(name: str, declared: Declared) -> inspect.Parameter:
    option, annotation = declared.option, _simple(declared.annotation)
    flags = list(option.flags) or [flag(name)]
    if annotation is bool and declared.default is True:
        flags = [f"{flags[0]}/--no-{flags[0].removeprefix('--')}"]
    bounds: dict[str, Any] = {}
    if _number(annotation):
        bounds = {"min": option.ge, "max": option.le}
    complete = option.complete

    def completion(incomplete: str) -> Iterable[str]:
        assert complete is not None
        return [value for value in complete() if value.startswith(incomplete)]

    told = typer.Option(
        *flags,
        help=option.help,
        metavar=option.metavar,
        hidden=option.hidden,
        autocompletion=completion if complete is not None else None,
        **bounds,
    )
    default = declared.default
    if isinstance(default, tuple) and get_origin(annotation) is list:
        default = list(default) or None
        annotation = annotation | None
    return _keyword(name, Annotated[annotation, told], default)


def _keyword(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _simple(annotation: Any) -> Any:
    """What can be typed: of a union text or a path if either is in it, never data.

    ``tuple[str, ...]`` is an option that may be given several times.
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        kinds = [p for p in parts if p is not NoneType]
        typed = [p for p in kinds if p in _SIMPLE or get_origin(p) in (Literal, tuple, list)]
        for wide in (str, Path):
            if wide in typed:
                typed = [wide]
        chosen = _simple(typed[0])
        return chosen | None if NoneType in parts else chosen
    if origin is tuple and len(parts) == 2 and parts[1] is Ellipsis:
        return list[parts[0]]  # type: ignore[valid-type]
    return annotation


def _number(annotation: Any) -> bool:
    return {int, float} & {annotation, *get_args(annotation)} != set() and get_origin(
        annotation
    ) not in (tuple, list)


def _list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
