"""Links that lead out of docs/: the site has the same text as a page of its own.

README and docs are read in the repository, too, where `../benchmarks/results/mri.md` is right.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

#: File of the repository -> page of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
_LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def page_of(path: str) -> str | None:
    """The page for a file, both relative to the root of the repository; None if there is none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("benchmarks/results/"):
        return f"benchmarks/{posixpath.basename(path)}"
    if path.startswith("notebooks/"):
        return f"notebooks/{posixpath.basename(path).removesuffix('.ipynb')}.md"
    return PAGES.get(path)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns such links into links between pages."""
    here = page.file.src_uri
    # Generated pages say where their text comes from.
    origin = getattr(page.file, "origin", None) or f"docs/{here}"

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[1]))
        found = page_of(target)
        if found is None:
            return match[0]
        relative = posixpath.relpath(found, posixpath.dirname(here) or ".")
        return f"]({relative}{match[2] or ''})"

    return _LINK.sub(turned, markdown)
