"""`import sciddm`: everything is there, nothing heavy is loaded, each verb has its options."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typer

import sciddm
from sciddm.pipelines.domains import DOMAINS, load_domain
from sciddm.pipelines.engine.commands import domain_app
from sciddm.pipelines.engine.verb import Transform

#: Parameters of commands that are no options of a request.
RUNNING = {
    "inputs", "target", "form", "report", "overwrite", "as_json", "threads", "reference",
    "estimate", "help", "recursive",
    "watch", "jobs", "part", "tries", "memory", "scheduler",
}  # fmt: skip


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_nothing_heavy_is_imported():
    code = (
        "import sys, sciddm; dir(sciddm)\n"
        "print([m for m in ('torch', 'monai', 'xarray', 'numpy', 'typer') if m in sys.modules])"
    )
    assert run_python(code).strip() == "[]"


def test_the_help_and_the_list_of_models_load_no_torch():
    for words in (["--help"], ["models", "list"], ["mri", "--help"], ["ct", "denoise", "--help"]):
        code = (
            "import sys\n"
            "from sciddm.pipelines.cli import app\n"
            f"app({words!r}, standalone_mode=False)\n"
            "print('torch' in sys.modules, 'monai' in sys.modules)"
        )
        assert run_python(code).splitlines()[-1] == "False False", words


def test_the_door_lists_what_it_opens():
    listed = dir(sciddm)
    assert set(DOMAINS) | {"open", "load", "Result"} <= set(listed)
    for name in listed:
        assert getattr(sciddm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'mir'"):
        sciddm.mir  # noqa: B018


@pytest.mark.parametrize("name", DOMAINS)
def test_python_and_the_command_line_have_the_same_verbs_and_options(name):
    domain = load_domain(name)
    module = getattr(sciddm, name)
    verbs = {verb.__name__: verb for verb in domain.verbs}
    assert {n for n in dir(module) if n in verbs} == set(verbs)
    commands = typer.main.get_command(domain_app(domain)).commands
    for verb in domain.verbs:
        assert getattr(module, verb.__name__) is verb
        options = {p.name for p in commands[verb.name].params} - RUNNING
        parameters = {
            p.name
            for p in inspect.signature(verb).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        assert parameters - RUNNING == options
        assert verb.help.strip()
        for option, declared in verb.request.declared().items():
            assert declared.option.help.endswith((".", "]")), (verb.name, option)
        if isinstance(verb, Transform):
            assert "Args:" in (verb.__doc__ or "")


def test_a_model_is_loaded_by_its_name():
    model = sciddm.load("hsi-subspace")
    assert model.card.name == "hsi-subspace"
    with pytest.raises(sciddm.ModelError, match="did you mean mri-brain"):
        sciddm.load("mri-brian")
