"""The type checker sees every name that crosses the folders; none of them is ``Any``."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]


def test_both_folders_are_packages_of_the_checked_one():
    assert SETTINGS["files"] == ["sciddm"]
    for name in ("pipelines", "data_adapters", "recipes"):
        link = ROOT / "sciddm" / name
        assert link.is_symlink()
        # Relative: a clone at another place has it too.
        assert link.readlink() == Path("..", name)
    assert (ROOT / "sciddm" / "py.typed").is_file()


def test_an_import_that_cannot_be_followed_is_an_error():
    assert SETTINGS["strict"] is True
    assert not SETTINGS.get("ignore_missing_imports", False)
    assert SETTINGS.get("follow_imports", "normal") == "normal"
    assert "disable_error_code" not in SETTINGS
    for override in SETTINGS["overrides"]:
        assert set(override) == {"module", "ignore_missing_imports"}
        assert not [name for name in override["module"] if name.split(".")[0] == "sciddm"]
