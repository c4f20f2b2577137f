"""Imports point one way: pipelines -> data_adapters -> core; the core imports neither."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# folder -> package name, and the packages that it must not import
LAYERS = {
    "sciddm": ("sciddm", ("sciddm.pipelines", "sciddm.data_adapters")),
    "data_adapters": ("sciddm.data_adapters", ("sciddm.pipelines",)),
    "pipelines": ("sciddm.pipelines", ()),
}


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """Full names of all that a module imports, anywhere in it; ``from a import b`` gives a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _is_dynamic(node.func) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found


def _is_dynamic(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def modules(folder: str) -> list[tuple[Path, str]]:
    root, package = ROOT / folder, LAYERS[folder][0]
    out = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        out.append((path, ".".join([package, *parts])))
    return out


@pytest.mark.parametrize("folder", LAYERS)
def test_imports_point_one_way(folder):
    files = modules(folder)
    assert files, f"no modules under {folder}: the test looks in the wrong place"
    forbidden = LAYERS[folder][1]
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, module in files
        # The front door shows what pipelines offer; it loads them on first use.
        if module != "sciddm"
        for name in sorted(imports(path.read_text(), module, path.name == "__init__.py"))
        if any(within(name, package) for package in forbidden)
        # The folders are importable by their own names from the project's root: not allowed.
        or any(within(name, top) for top in ("pipelines", "data_adapters"))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("source", "module", "name"),
    [
        ("import sciddm.pipelines.mri", "sciddm.x", "sciddm.pipelines.mri"),
        ("from sciddm import pipelines", "sciddm.x", "sciddm.pipelines"),
        ("def f():\n    from ..pipelines import cli", "sciddm.zoo.x", "sciddm.pipelines.cli"),
        ("from . import pipelines", "sciddm.x", "sciddm.pipelines"),
        ("import importlib\nimportlib.import_module('sciddm.pipelines')", "sciddm.x", ""),
    ],
)
def test_the_check_sees_every_way_to_import(source, module, name):
    assert (name or "sciddm.pipelines") in imports(source, module, is_package=False)


def test_a_package_resolves_its_own_relative_imports():
    assert "sciddm.zoo.card.Card" in imports("from .card import Card", "sciddm.zoo", True)
