"""Options, exit codes and start-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import FakePipeline, Sciddm, everything

import sciddm as package
from sciddm.errors import ModelError


def shell(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sciddm.pipelines.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_version(sciddm: Sciddm) -> None:
    answer = sciddm("--version")
    assert (answer.code, answer.out.strip()) == (0, f"sciddm {package.__version__}")


def test_python_m_sciddm_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sciddm"]
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"sciddm {package.__version__}"
    wrong = [*command, "mri", "reconstruct", "no.h5", "-o", "a.nii"]
    result = subprocess.run(wrong, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no.h5: ")


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    """Start-up stays quick because these are imported by the commands that need them."""
    code = (
        "import sys, sciddm.pipelines.cli; "
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'monai', 'lightning',"
        "'numpy', 'xarray', 'matplotlib', 'h5py', 'skimage', 'scipy', 'pydantic'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mri", "reconstruct", "a.h5"], "--output"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--mask", "spiral"], "spiral"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--quality", "superb"], "superb"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--samples", "1"], "samples"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--acs", "8"], "is for undersample"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "-R", "0.5"], "equal to 1"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--noise-std", "-1"], "more than 0"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--noise-std", "nan"], "more than 0"),
        (["mri", "reconstruct", "a.h5", "-o", "x.nii", "--quick"], "--quick"),
        (["mri", "reconstruct", "a.h5", "b.h5", "-o", "x.nii"], "folder"),
        (["mri", "reconstruct", "a.h5", "-o", "x.png"], ".nii.gz"),
        (["mri", "reconstruct", "a.h5", "-o", "no/x.nii"], "no/x.nii"),
        (["mri", "segment"], "segment"),
        (["train", "no.yaml"], "no.yaml"),
        (["demo", "geology"], "geology"),
        (["models", "info", "no-such-model"], "no-such-model"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    sciddm: Sciddm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = sciddm(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert everything(tmp_path) == set()


def test_debug_shows_where_from_any_place_in_the_line(sciddm: Sciddm, tmp_path: Path) -> None:
    words = ["mri", "reconstruct", tmp_path / "no.h5", "-o", tmp_path / "x.nii", "--debug"]
    answer = sciddm(*words)
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert len(answer.error_lines) == 1


def test_exit_codes_reach_the_shell(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not HDF5 at all")
    result = shell("mri", "reconstruct", "text.h5", "-o", "a.nii.gz", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: text.h5: ")
    assert result.stderr.count("\n") == 1
    assert everything(tmp_path) == {"text.h5"}


def test_an_unexpected_error_is_ours_and_says_so(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(FakePipeline, "__call__", broken)
    answer = sciddm("mri", "reconstruct", scan, "-o", tmp_path / "a.nii.gz")
    assert answer.code == 1
    assert answer.err == "error: unexpected RuntimeError: two lines (--debug shows where)\n"


def test_an_unknown_model_stops_a_batch_before_it_begins(
    sciddm: Sciddm, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciddm.pipelines.mri import requests

    def none(model: str) -> None:
        raise ModelError(f"no model named {model!r}")

    monkeypatch.setattr(requests, "load_pipeline", none)
    answer = sciddm("mri", "reconstruct", scan.parent, "-o", tmp_path / "out", "--model", "nono")
    assert answer.code == 2
    assert answer.err == "error: no model named 'nono'\n"


def test_a_failed_single_scan_still_gives_one_json_document(sciddm: Sciddm, tmp_path: Path) -> None:
    answer = sciddm("mri", "reconstruct", tmp_path / "no.h5", "-o", tmp_path / "a.nii", "--json")
    assert answer.code == 2
    told = json.loads(answer.out)
    assert told["failed"] == 1
    assert "no.h5" in told["results"][0]["error"]


def test_models_are_listed_and_described(sciddm: Sciddm, monkeypatch: pytest.MonkeyPatch) -> None:
    from sciddm import zoo

    card = zoo.Card(
        name="tiny",
        summary="A model.",
        licence="CC0",
        split="by patient",
        metrics={"FLAIR": {"R=4": {"PSNR": 31.5}}},
        coverage={"90 %": 0.88},
        weights_sha256="ab" * 32,
    )
    monkeypatch.setattr(zoo, "list_models", lambda: [card])
    monkeypatch.setattr(zoo, "card", lambda name: card)
    listed = sciddm("models", "list")
    assert listed.code == 0
    assert "tiny" in listed.out
    assert "CC0" in listed.out
    told = sciddm("models", "info", "tiny").out
    for part in ("by patient", "FLAIR / R=4 / PSNR: 31.5", "90 %: 0.88", "ab" * 32):
        assert part in told
    assert json.loads(sciddm("models", "info", "tiny", "--json").out) == card.model_dump()
    assert json.loads(sciddm("models", "list", "--json").out)[0]["name"] == "tiny"


def test_an_unknown_key_in_a_recipe(sciddm: Sciddm, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsummary: y\nlearning_rate: 1\n")
    answer = sciddm("train", recipe)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "r.yaml" in answer.err


def test_an_interrupt_leaves_nothing_half_done(
    sciddm: Sciddm, fake: FakePipeline, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakePipeline, "__call__", interrupted)
    answer = sciddm("mri", "reconstruct", scan.parent, "-o", tmp_path / "out")
    assert answer.code == 130
    assert "stopped" in answer.err
    assert everything(tmp_path / "out") == set()
