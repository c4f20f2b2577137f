"""`sciddm docs`: the documentation that came with the package, without a network."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from sciddm.errors import InputError

__all__ = ["docs"]


def _site() -> Path:
    """Where `make site` builds it, and the wheel has it."""
    import sciddm

    return Path(sciddm.__file__).parent / "documentation"


def _pages() -> list[str]:
    site = _site()
    return sorted(p.relative_to(site).with_suffix("").as_posix() for p in site.rglob("*.html"))


def _complete(incomplete: str) -> list[str]:
    return [name for name in _pages() if name.startswith(incomplete)]


def docs(
    page: Annotated[
        str,
        typer.Argument(help="Page, such as mri or guides/own-operator.", autocompletion=_complete),
    ] = "index",
    path: Annotated[
        bool, typer.Option("--path", help="Print the page's path; open nothing.")
    ] = False,
) -> None:
    """Open the documentation in the browser; it needs no network."""
    known = _pages()
    if not known:
        raise InputError(
            "the documentation is not built: run `make site` in the checkout, or read docs/*.md"
        )
    name = page.removesuffix(".html").removesuffix(".md").strip("/")
    if name not in known and f"{name}/index" in known:
        name = f"{name}/index"
    if name not in known:
        near = get_close_matches(name, known, 3)
        hint = (
            f": did you mean {' or '.join(near)}?" if near else f", only {', '.join(known[:9])} ..."
        )
        raise InputError(f"there is no page {page}{hint}")
    file = _site() / f"{name}.html"
    print(file)
    if not path:
        typer.launch(file.as_uri())
