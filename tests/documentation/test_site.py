"""The site: its links, its pages that are written from the code, and the command that opens it.

`make site` builds all of it, with warnings as errors.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from sciddm.pipelines.cli import app
from sciddm.pipelines.commands import docs
from sciddm.pipelines.domains import DOMAINS, load_domain

ROOT = Path(__file__).parents[2]


def hook(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "origin", "link", "expected"),
    [
        ("mri.md", "", "../benchmarks/results/mri.md#real", "benchmarks/mri.md#real"),
        ("guides/a.md", "", "../../CONTRIBUTING.md", "../contributing.md"),
        ("guides/a.md", "", "../mri.md", "../mri.md"),
        ("contributing.md", "CONTRIBUTING.md", "docs/core.md", "core.md"),
        ("notebooks/x.md", "notebooks/x.ipynb", "../docs/guides/a.md", "../guides/a.md"),
        ("core.md", "", "https://example.org/a.md", "https://example.org/a.md"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_site(page, origin, link, expected):
    file = SimpleNamespace(src_uri=page, origin=origin)
    text = f"see [it]({link})."
    turned = hook("links").on_page_markdown(text, SimpleNamespace(file=file))
    assert turned == f"see [it]({expected})."


def test_every_verb_and_option_has_a_row():
    pytest.importorskip("mkdocs", reason="pip install 'sciddm[docs]'")
    pages = {page.uri: page.text for page in hook("generated").commands()}
    for name in DOMAINS:
        text = pages[f"commands/{name}.md"]
        for verb in load_domain(name).verbs:
            section = text.split(f"## {verb.name}\n")[1].split("\n## ")[0]
            for option, declared in verb.request.declared().items():
                if not declared.option.hidden:
                    flag = (declared.option.flags or (f"--{option.replace('_', '-')}",))[0]
                    assert f"`{flag}`" in section
                    assert declared.option.help.replace("|", "\\|") in section
    for command in ("demo", "models info", "train", "verify", "doctor", "docs"):
        assert f"## sciddm {command}\n" in pages["commands/others.md"]


def test_every_public_module_of_the_core_has_a_page():
    pytest.importorskip("mkdocs", reason="pip install 'sciddm[docs]'")
    texts = "\n".join(page.text for page in hook("generated").reference())
    for name in ("process", "sampling", "guidance", "physics", "uncertainty", "metrics", "priors"):
        assert f"::: sciddm.{name}\n" in texts
    assert "::: sciddm.physics.tomography" in texts


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert pages <= listed


def test_the_configuration_names_no_address_on_the_network():
    """The site works from the wheel."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert not re.search(r"https?://", str(settings))


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "guides").mkdir()
    for name in ("index", "mri", "guides/index", "guides/own-operator"):
        (tmp_path / f"{name}.html").write_text(name)
    monkeypatch.setattr(docs, "_site", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "page"),
    [((), "index"), (("mri",), "mri"), (("guides",), "guides/index"), (("mri.md",), "mri")],
)
def test_docs_finds_a_page(site, words, page):
    answer = CliRunner().invoke(app, ["docs", *words, "--path"])
    assert answer.exit_code == 0
    assert Path(answer.stdout.strip()) == site / f"{page}.html"


def test_docs_names_near_pages(site):
    answer = CliRunner().invoke(app, ["docs", "guides/own-operater"])
    assert answer.exit_code == 2
    assert "guides/own-operator" in answer.output


def test_docs_that_are_not_built(tmp_path, monkeypatch):
    monkeypatch.setattr(docs, "_site", lambda: tmp_path)
    answer = CliRunner().invoke(app, ["docs"])
    assert answer.exit_code == 2
    assert "make site" in answer.output
