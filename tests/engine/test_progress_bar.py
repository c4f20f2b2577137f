"""Long work shows a bar: in a notebook by HTML alone, which needs no widgets."""

from __future__ import annotations

import sys
import types

import pytest

from sciddm.pipelines.engine.progress_bar import progress_bar


class Handle:
    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def notebook(monkeypatch):
    """A kernel of IPython's, and what it was given to display."""
    shown: list[str] = []

    def display(html: str, display_id: bool) -> Handle:
        shown.append(html)
        return Handle(shown)

    shell = types.SimpleNamespace(kernel=object())
    modules = {
        "IPython": types.SimpleNamespace(get_ipython=lambda: shell),
        "IPython.display": types.SimpleNamespace(HTML=str, display=display),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return shown


def test_a_notebook_sees_how_far_the_work_is_and_keeps_nothing(notebook):
    with progress_bar("recon<struct>") as progress:
        progress(3, 10, "x")  # too early for a second picture
        progress(10, 10, "slice <b>")
    assert len(notebook) == 3
    assert 'value="10" max="10"' in notebook[1]
    assert "recon&lt;struct&gt;" in notebook[1]
    assert "slice &lt;b&gt;" in notebook[1]
    assert notebook[-1] == ""


def test_a_failure_takes_the_bar_away_too(notebook):
    with pytest.raises(KeyError), progress_bar("t"):
        raise KeyError
    assert notebook[-1] == ""


def test_nothing_is_shown_in_a_pipe(capsys):
    with progress_bar("t") as progress:
        progress(1, 2, "x")
    assert capsys.readouterr() == ("", "")
