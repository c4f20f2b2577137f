"""Commands and snippets of README and docs do what they say.

A block under ``<!-- run: FILE... -->`` runs on tiny generated files of those names, in one folder
for each page, at the quality "fast". One under ``<!-- continue -->`` goes on with the names of the
block before it. All other commands are checked against the verbs' options.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.fingerprint_inputs import INPUTS
from sciddm.pipelines.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: What a block may ask for -> domain and name of the generated file or folder.
FILES = {
    "scan.h5": ("mri", "coils.h5"),
    "full.h5": ("mri", "full.h5"),
    "series": ("ct", "low"),
    "sinogram.h5": ("ct", "low.h5"),
    "pet": ("petct", "pet"),
    "ct": ("petct", "ct"),
    "scene.hdr": ("hsi", "scene.hdr"),
    "noisy.wav": ("speech", "noisy.wav"),
    "echoes.h5": ("ultrasound", "hazy.h5"),
}
#: Folders of the site whose pages are written from the code.
WRITTEN = ("benchmarks", "commands", "models", "notebooks", "reference")
#: Demos are tested where they are; here a page's line is checked, not run again.
SLOW = ("sciddm demo",)


class Block(NamedTuple):
    """A fenced block."""

    page: Path
    line: int
    language: str
    code: str
    files: tuple[str, ...] | None

    @property
    def commands(self) -> Iterator[list[str]]:
        """Words of the sciddm commands of a shell block."""
        for line in self.code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["sciddm"]:
                yield words[1:]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks() -> list[Block]:
    found = []
    pattern = re.compile(
        r"(?:<!-- (?:(continue)|run(?::(.*?))?) -->\n)?```(sh|python)\n(.*?)```", re.DOTALL
    )
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            files = tuple((match[2] or "").split()) if match[0].startswith("<!--") else None
            line = text[: match.start(4)].count("\n") + 1
            code = match[4]
            if match[1]:
                before = found[-1]
                code, files = before.code + code, before.files
            found.append(Block(page, line, match[3], code, files))
    return found


BLOCKS = blocks()
RUNNABLE = [block for block in BLOCKS if block.files is not None]


@cache
def command_of(words: tuple[str, ...]) -> tuple[object, int]:
    """The click command that words name, and how many words name it."""
    command, depth = typer.main.get_command(app), 0
    while hasattr(command, "get_command") and depth < len(words):
        found = command.get_command(None, words[depth])
        assert found is not None, f"there is no command sciddm {' '.join(words[: depth + 1])}"
        command, depth = found, depth + 1
    return command, depth


def leading(words: list[str]) -> tuple[str, ...]:
    return tuple(w for w in words[:2] if not w.startswith("-"))


def options(words: list[str]) -> set[str]:
    command, _ = command_of(leading(words))
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "sh"], ids=str)
def test_every_command_and_option_exists(block):
    for words in block.commands:
        if not words or words[0].startswith("-"):
            continue
        known = options(words) | {"--help", "-h", "--debug"}
        for word in words:
            if re.match(r"--?[a-zA-Z]", word):
                assert word.partition("=")[0] in known, f"{block}: {word} of {' '.join(words)}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Makes the files of a domain once, and puts one of them where it is wanted."""
    made: dict[str, Path] = {}

    def put(name: str, folder: Path) -> None:
        domain, own = FILES[name]
        if domain not in made:
            made[domain] = tmp_path_factory.mktemp(domain)
            INPUTS[domain](made[domain])
        source = made[domain] / own
        if source.is_dir():
            shutil.copytree(source, folder / name)
            return
        for file in source.parent.glob(f"{source.stem}.*"):  # a header and its values
            if file.suffix in (source.suffix, ".img"):
                shutil.copy(file, folder / f"{Path(name).stem}{file.suffix}")

    return put


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_what_is_marked_runs(block, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in block.files:
        inputs(name, tmp_path)
    if block.language == "python":
        exec(compile(block.code, str(block), "exec"), {})
        return
    for words in block.commands:
        if " ".join(["sciddm", *words]).startswith(SLOW):
            continue
        if "--quality" in options(words) and "--quality" not in words:
            words = [*words, "--quality", "fast"]
        answer = CliRunner().invoke(app, words)
        assert answer.exit_code == 0, f"{block}: {' '.join(words)}\n{answer.output}"
        if "-o" in words:
            assert Path(words[words.index("-o") + 1]).exists()
            if "--report" in words:
                assert list(tmp_path.glob("**/*.html"))


def test_readme_shows_every_domain_at_work():
    readme = [block for block in RUNNABLE if block.page.name == "README.md"]
    told = {words[0] for block in readme for words in block.commands}
    assert {"mri", "ct", "petct", "hsi", "speech", "ultrasound", "doctor", "demo"} <= told


def test_links_lead_somewhere():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not link.startswith(("http:", "https:", "mailto:")):
                target = (page.parent / link).resolve()
                # `make site` writes these pages from the code, and checks links to them.
                written = target.parent.parent == ROOT / "docs" and target.parent.name in WRITTEN
                assert written or target.exists(), f"{page.name}: {link}"


def figures() -> list[tuple[str, str, str]]:
    """Rows of README's tables that link to a result: task, figure, file."""
    found = []
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        match = re.search(r"\]\((benchmarks/results/\w+\.md)\)", line)
        if line.startswith("|") and match:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            numbers = [re.findall(r"\d+\.\d+", cell) for cell in cells[1:-1]]
            found += [(cells[0], n, match[1]) for row in numbers for n in row]
    return found


@pytest.mark.parametrize(("task", "figure", "file"), figures())
def test_figures_of_the_readme_are_those_of_the_results(task, figure, file):
    """After a benchmark has run again, README.md takes over its figures."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text), f"{task}: {figure} in {file}"
