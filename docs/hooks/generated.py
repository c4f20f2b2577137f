"""Pages that are written from the code: commands, models, API, benchmarks, notebooks.

A name in the navigation that begins with ``@`` stands for the pages of one kind.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
#: Rooms of the core in the order of a reader's interest; every other one follows by name.
FIRST = ("process", "denoiser", "sampling", "guidance", "methods", "inverse", "posterior")


class Page(NamedTuple):
    """A page: where it is in the site, its text, and the file that the text comes from."""

    uri: str
    text: str
    origin: str = ""


def commands() -> Iterator[Page]:
    """A page for each domain: its verbs with all their options."""
    from sciddm.pipelines.domains import DOMAINS, load_domain

    yield Page(
        "commands/index.md",
        "# Commands\n\nEvery option is a parameter of the same name in Python: "
        '`sciddm mri reconstruct X --quality fast` is `sciddm.mri.reconstruct(X, quality="fast")`. '
        "`sciddm COMMAND --help` prints the same text.\n\n"
        + "\n".join(f"- [`sciddm {name}`]({name}.md): {text}" for name, text in DOMAINS.items())
        + "\n- [all others](others.md): demo, models, train, verify, doctor, docs\n",
    )
    for name, text in DOMAINS.items():
        lines = [f"# sciddm {name}", "", text, ""]
        for verb in load_domain(name).verbs:
            lines += [f"## {verb.name}", "", verb.help, ""]
            lines += ["| option | values | default | meaning |", "|---|---|---|---|"]
            for option, declared in verb.request.declared().items():
                if not declared.option.hidden:
                    lines.append(_option(option, declared))
            lines.append("")
        yield Page(f"commands/{name}.md", "\n".join(lines))
    yield Page("commands/others.md", _others())


def _option(name: str, declared: Any) -> str:
    import inspect

    from sciddm.pipelines.engine.option import choices_of

    flags = ", ".join(f"`{f}`" for f in declared.option.flags) or f"`--{name.replace('_', '-')}`"
    choices = choices_of(declared.annotation)
    values = ", ".join(f"`{c}`" for c in choices) or declared.option.metavar or _type(declared)
    default = declared.default
    shown = "required" if default is inspect.Parameter.empty else _value(default)
    cells = (flags, values, shown, declared.option.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(declared: Any) -> str:
    text = getattr(declared.annotation, "__name__", "") or str(declared.annotation)
    for part in ("typing.", "pathlib.", "collections.abc.", " | None"):
        text = text.replace(part, "")
    return text


def _value(default: Any) -> str:
    if default is None or default == "" or default == ():
        return ""
    return f"`{default}`"


def _others() -> str:
    """The help of the commands that belong to no domain, as the terminal shows it."""
    import typer

    from sciddm.pipelines.cli import app
    from sciddm.pipelines.domains import DOMAINS

    root = typer.main.get_command(app)
    lines = ["# Other commands", ""]
    context = typer.Context(root)
    for name in root.list_commands(context):  # type: ignore[attr-defined]
        if name in DOMAINS:
            continue
        command = root.get_command(context, name)  # type: ignore[attr-defined]
        parts = getattr(command, "commands", None) or {"": command}
        for sub, each in parts.items():
            lines += [f"## sciddm {name} {sub}".rstrip(), "", _plain(each.help), ""]
            shown = [p for p in each.params if not getattr(p, "hidden", False)]
            if shown:
                lines += ["| option | meaning |", "|---|---|"]
                for p in shown:
                    flags = ", ".join(f"`{o}`" for o in p.opts)
                    meaning = _plain(getattr(p, "help", "")).replace("|", "/")
                    lines.append(f"| {flags} | {meaning} |")
                lines.append("")
    return "\n".join(lines)


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("\b", "").split())


def models() -> Iterator[Page]:
    """The cards of all bundled models."""
    from sciddm import zoo

    cards = zoo.list_models()
    rows = [f"| [{c.name}]({c.name}.md) | {c.summary} |" for c in cards]
    yield Page(
        "models/index.md",
        "# Models\n\nAll are in the package. `--model NAME` takes one; a folder of your own "
        "training is taken alike.\n\n| model | summary |\n|---|---|\n" + "\n".join(rows) + "\n",
    )
    for card in cards:
        values = card.model_dump(mode="json")
        lines = [f"# {card.name}", "", card.summary, ""]
        for key, value in values.items():
            if key in ("name", "summary") or value in (None, "", {}, []):
                continue
            lines += [f"## {key.replace('_', ' ').capitalize()}", "", *_entry(value), ""]
        yield Page(f"models/{card.name}.md", "\n".join(lines))


def _entry(value: Any, depth: int = 0) -> list[str]:
    if isinstance(value, dict):
        flat = all(not isinstance(v, dict | list) for v in value.values())
        if flat and depth == 0:
            rows = [f"| {k} | {_cell(v)} |" for k, v in value.items()]
            return ["| | |", "|---|---|", *rows]
        lines = []
        for k, v in value.items():
            if isinstance(v, dict | list):
                lines += [f"{'    ' * depth}- {k}", *_entry(v, depth + 1)]
            else:
                lines.append(f"{'    ' * depth}- {k}: {_cell(v)}")
        return lines
    if isinstance(value, list):
        return [f"{'    ' * depth}- {_cell(v)}" for v in value]
    return [_cell(value)]


def _cell(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def reference() -> Iterator[Page]:
    """The public names of the core, a page for each room."""
    names = sorted(
        p.stem if p.suffix else p.name
        for p in (ROOT / "sciddm").iterdir()
        if (p.suffix == ".py" or (p / "__init__.py").exists())
        and not p.name.startswith("_")
        and p.name not in ("pipelines", "data_adapters", "extras.py", "lazy.py")
    )
    names = [*FIRST, *(n for n in names if n not in FIRST)]
    summaries = {n: _summary(f"sciddm.{n}") for n in names}
    yield Page(
        "reference/index.md",
        "# Python\n\n`import sciddm` offers `open`, `load`, `sample_posterior`, the six domains "
        "(their functions are in [Commands](../commands/index.md)), `Result` and the errors. "
        "Everything below is reached by its module.\n\n"
        "| module | |\n|---|---|\n"
        "| [`sciddm`](front-door.md) | what a script needs |\n"
        + "\n".join(f"| [`sciddm.{n}`]({n}.md) | {summaries[n]} |" for n in names)
        + "\n| [`sciddm.data_adapters`](data_adapters.md) | files to xarray and back |\n",
    )
    yield Page(
        "reference/front-door.md",
        "# sciddm\n\n"
        + "\n\n".join(
            f"## sciddm.{name}\n\n::: {path}\n    options:\n      heading_level: 3\n"
            for name, path in {
                "open": "sciddm.pipelines.open.open_any",
                "load": "sciddm.zoo.pretrained.from_pretrained",
                "sample_posterior": "sciddm.inverse.sample_posterior",
                "Result": "sciddm.pipelines.engine.result.Result",
                "errors": "sciddm.errors",
                "verdicts": "sciddm.uncertainty.verdict",
            }.items()
        ),
    )
    for name in (*names, "data_adapters"):
        yield Page(f"reference/{name}.md", "\n".join(_room(f"sciddm.{name}")))


def _room(name: str) -> list[str]:
    """What a package offers itself, then those of its modules that offer more."""
    lines = [f"# {name}", "", f"::: {name}", ""]
    room = importlib.import_module(name)
    offered = set(getattr(room, "__all__", ()))
    modules = pkgutil.walk_packages(getattr(room, "__path__", ()), f"{name}.")
    for info in sorted(modules, key=lambda info: info.name):
        parts = info.name.split(".")
        names = set(getattr(importlib.import_module(info.name), "__all__", ()))
        if names - offered and not any(part.startswith("_") for part in parts):
            lines += [f"## {info.name.removeprefix('sciddm.')}", "", f"::: {info.name}"]
            lines += ["    options:", "      heading_level: 3", ""]
            offered |= names if info.ispkg else set()
    return lines


def _summary(module: str) -> str:
    doc = importlib.import_module(module).__doc__ or ""
    return doc.strip().split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def benchmarks() -> Iterator[Page]:
    """The tables that the benchmarks wrote."""
    tables = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
    titles = {t: t.read_text(encoding="utf-8").lstrip("# ").splitlines()[0] for t in tables}
    yield Page(
        "benchmarks/index.md",
        "# Benchmarks\n\nEvery table names its data and the command that makes it. In the "
        "repository they lie in `benchmarks/results`.\n\n"
        + "\n".join(f"- [{titles[t]}]({t.name})" for t in tables)
        + "\n",
    )
    for table in tables:
        yield Page(
            f"benchmarks/{table.name}",
            table.read_text(encoding="utf-8"),
            f"benchmarks/results/{table.name}",
        )


def notebooks() -> Iterator[Page]:
    """Notebooks with their pictures, as they were executed."""
    from nbconvert import MarkdownExporter

    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    titles = []
    pages = []
    for path in found:
        text, resources = MarkdownExporter().from_filename(str(path))
        for name, data in resources.get("outputs", {}).items():
            import base64

            kind = "svg+xml" if name.endswith("svg") else name.rsplit(".", 1)[-1]
            url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
            text = text.replace(f"]({name})", f"]({url})")
        titles.append((path.stem, text.lstrip("# \n").splitlines()[0]))
        pages.append(Page(f"notebooks/{path.stem}.md", text, f"notebooks/{path.name}"))
    yield Page(
        "notebooks/index.md",
        "# Notebooks\n\nEach runs in minutes on a laptop, without a file of your own. In the "
        "repository they lie in `notebooks/`.\n\n"
        + "\n".join(f"- [{title}]({stem}.md)" for stem, title in titles)
        + "\n",
    )
    yield from pages


def project() -> Iterator[Page]:
    """Contributing, changelog, security."""
    for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        yield Page(f"{name.lower()}.md", text, f"{name}.md")


KINDS = {
    "@commands": commands,
    "@models": models,
    "@reference": reference,
    "@benchmarks": benchmarks,
    "@notebooks": notebooks,
}


@cache
def pages(kind: str) -> tuple[Page, ...]:
    return tuple(KINDS[kind]())


def on_config(config: Any) -> Any:
    """Puts the pages of a kind where the navigation names it."""

    def filled(nav: Any) -> Any:
        if isinstance(nav, list):
            return [filled(item) for item in nav]
        if isinstance(nav, dict):
            return {key: filled(value) for key, value in nav.items()}
        return [page.uri for page in pages(nav)] if str(nav).startswith("@") else nav

    config.nav = filled(config.nav)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds them to the site."""
    for page in (*project(), *(p for kind in KINDS for p in pages(kind))):
        file = File.generated(config, page.uri, content=page.text)
        file.origin = page.origin  # type: ignore[attr-defined]
        files.append(file)
    return files
