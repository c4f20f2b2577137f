"""Names that are markup, escapes, options or commands of a shell: shown, and nothing else.

What a terminal would obey is in tests/cli/test_stopped.py.
"""

from __future__ import annotations

import csv
import json
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciddm.data_adapters import open_audio, open_cube, read_nifti, save_cube
from sciddm.errors import InputError
from sciddm.pipelines.cli import app
from sciddm.storage import csv_text, original_text

_NAMES = (
    '"><script>alert(1)<!--<img src=x onerror=alert(1)>{{7*7}}.npz',
    "$(touch mark);`touch mark`|touch mark&\n\r'\"\\ -o b %s%n[red].npz",
    "-o\x1b]0;owned\x07\u202e.npz",
)


class Page(HTMLParser):
    """Collects what a browser would obey: attributes, and scripts that a name brings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.obeyed: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.obeyed += [k for k, v in attrs if k.startswith("on") or v == "x"]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.texts.append(data)
        if self.cdata_elem == "script" and data.lstrip().startswith("alert(1)"):
            self.obeyed.append(data)


@pytest.fixture(scope="module")
def scene() -> xr.Dataset:
    rng = np.random.default_rng(0)
    spectra = rng.uniform(0.2, 1, (6, 2))
    parts = np.linspace(0, 1, 24 * 26).reshape(24, 26)
    clean = np.tensordot(spectra, np.stack([parts, 1 - parts]), 1)
    noisy = (clean + 0.02 * rng.standard_normal(clean.shape)).astype(np.float32)
    return xr.Dataset({"cube": (("band", "y", "x"), noisy)})


@pytest.mark.parametrize("name", _NAMES, ids=range(len(_NAMES)))
def test_a_name_is_only_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: xr.Dataset, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    source, out = tmp_path / "in" / name, tmp_path / "out"
    source.parent.mkdir()
    save_cube(scene, source)
    out.mkdir()
    words = ["hsi", "denoise", str(source), "-o", str(out / name)]
    words += ["--method", "lowrank", "--report"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    # Nothing but the outputs: no command ran, no other file was named.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]
    assert (out / name).is_file()
    kept = [json.loads(p.read_text()) for p in out.glob("*.json")]
    (command,) = {k["command"] for k in kept}
    assert {str(source), str(out / name)} <= set(shlex.split(command))
    (report,) = out.glob("*.html")
    page = Page(report.read_text())
    assert not page.obeyed
    for said in (answer.stdout, answer.stderr):
        assert not set(said) & set("\x1b\x07\u202e")


_FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "  =1", "\uff1d1", "a;=1;b")


@pytest.mark.parametrize("text", _FORMULAS)
def test_a_text_is_no_formula_of_a_spreadsheet(text: str) -> None:
    """Whether it divides cells at commas, semicolons or tabs."""
    written = csv_text([["name", "number"], [text, -0.5]])
    for mark in ",;\t":
        cells = [c for row in csv.reader(written.splitlines(), delimiter=mark) for c in row]
        numbers = {"-0.5"} if mark == "," else {c for c in cells if c.endswith(",-0.5")}
        texts = [c for c in cells if c not in numbers]
        assert not any(c.strip().startswith(("=", "+", "-", "@", "\uff1d")) for c in texts)
    (_, back) = csv.reader(written.splitlines())
    assert original_text(back[0]) == text
    assert back[1] == "-0.5"


def test_tables_hold_no_formulas(tmp_path: Path, scene: xr.Dataset) -> None:
    """Names of files and of what is wrong with them, in the table of a batch."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("=cmd|' calc'!A0.npz", "@a;=1.npz", '"><img src=x onerror=alert(1)>.npz'):
        save_cube(scene, source / name)
    (source / "+a.npz").write_bytes(b"=1")
    words = ["hsi", "denoise", *sorted(map(str, source.iterdir()))]
    answer = CliRunner().invoke(app, [*words, "-o", str(out), "--method", "lowrank", "--report"])
    assert answer.exit_code == 1, answer.output
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    texts = [c for row in rows for c in row.values() if c and not _is_number(c)]
    assert not any(c.startswith(("=", "+", "-", "@")) for c in texts)
    assert {original_text(row["output"]) for row in rows} == {p.name for p in source.iterdir()}

    page = Page((out / "index.html").read_text())
    assert not page.obeyed
    assert "onerror=alert(1)" in "".join(page.texts)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


_NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4) + 1


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".npz", ".hdr", ".zarr"])
@pytest.mark.parametrize("stem", ["GTIFF_DIR:1:a", "file:x", " a ", "~", "http:a", "a%03d"])
def test_a_library_reads_no_more_into_the_name_of_a_cube(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), _NUMBERS)}), tmp_path / f"a{suffix}")
    for path in sorted(tmp_path.iterdir()):
        path.rename(path.with_name(stem + path.suffix))
    assert np.array_equal(open_cube(f"{stem}{suffix}")["cube"].values, _NUMBERS)


def test_a_home_folder_is_no_name_of_a_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nibabel

    monkeypatch.chdir(tmp_path)
    nibabel.save(nibabel.Nifti1Image(_NUMBERS, np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "~.nii")
    assert np.array_equal(np.sort(read_nifti("~.nii").values.ravel()), _NUMBERS.ravel())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_recording_whose_name_is_not_utf8(tmp_path: Path, suffix: str) -> None:
    import soundfile

    sound = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    soundfile.write(tmp_path / f"a{suffix}", sound, 8000)
    path = (tmp_path / f"a{suffix}").rename(tmp_path / f"\udcff{suffix}")
    assert open_audio(path).sizes["time"] == 800


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("suffix", [".tif", ".nc"])
def test_a_cube_whose_name_is_not_utf8(tmp_path: Path, suffix: str) -> None:
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), _NUMBERS)}), tmp_path / f"a{suffix}")
    path = (tmp_path / f"a{suffix}").rename(tmp_path / f"\udcff{suffix}")
    with pytest.raises(InputError, match="its name is not UTF-8"):
        open_cube(path)


@pytest.mark.skipif(sys.platform != "linux", reason="a separator elsewhere")
def test_netcdf_takes_a_backslash_for_a_slash(tmp_path: Path) -> None:
    save_cube(xr.Dataset({"cube": (("band", "y", "x"), _NUMBERS)}), tmp_path / "a.nc")
    path = (tmp_path / "a.nc").rename(tmp_path / "a\\b.nc")
    with pytest.raises(InputError, match="with a backslash: rename it"):
        open_cube(path)
