"""Imports point one way: pipelines -> data_adapters -> core; the core imports neither.

A domain imports no other domain, the engine imports no domain, and no modules need each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# folder -> package name, and the packages that it must not import
LAYERS = {
    "sciddm": ("sciddm", ("sciddm.pipelines", "sciddm.data_adapters")),
    "data_adapters": ("sciddm.data_adapters", ("sciddm.pipelines",)),
    "pipelines": ("sciddm.pipelines", ()),
}

#: As `pipelines/domains.py` lists them; `test_every_domain_is_checked` compares.
DOMAINS = ("ct", "hsi", "mri", "petct", "speech", "ultrasound")

#: Whose files a domain reads beside its own: a PET/CT study holds a CT.
HOLDS = {"petct": "ct"}


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """Full names of all that a module imports, anywhere in it; ``from a import b`` gives a.b."""
    return names(ast.walk(ast.parse(source)), module, is_package)


def needs(source: str, module: str, is_package: bool) -> set[str]:
    """Full names of what a module imports while it is imported itself."""
    return names(_executed(ast.parse(source)), module, is_package)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run at import: bodies of functions do not, nor what only checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _executed(other)
            continue
        yield child
        yield from _executed(child)


def names(nodes: Iterable[ast.AST], module: str, is_package: bool) -> set[str]:
    found: set[str] = set()
    for node in nodes:
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
        # The front doors of Python and of the command line show what pipelines offer.
        if module not in ("sciddm", "sciddm.__main__")
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


def sources() -> list[tuple[Path, str]]:
    return [pair for folder in LAYERS for pair in modules(folder)]


def graph(files: Mapping[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """Module -> the modules that Python runs before it, from {module: (source, is_package)}.

    The package of a module runs before the module, unless the importing module lies in it.
    """
    out: dict[str, set[str]] = {}
    for module, (source, is_package) in files.items():
        out[module] = set()
        for name in needs(source, module, is_package):
            while name and name not in files:
                name = name.rpartition(".")[0]
            while name and not within(module, name):
                out[module].add(name)
                name = name.rpartition(".")[0]
    return out


def cycle(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_need_each_other():
    edges = graph({m: (p.read_text(), p.name == "__init__.py") for p, m in sources()})
    # The graph is the real one: hundreds of modules, each of which needs a few.
    assert len(edges) > 300
    assert sum(map(len, edges.values())) > 2 * len(edges)
    assert "sciddm.errors" in edges["sciddm.physics.cg"] | edges["sciddm.geometry.grid"]
    assert cycle(edges) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"p.a": "from p import b", "p.b": "from p.a import x"}, True),
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": "class C:\n    import p.a"}, True),
        # The package runs first: it needs c, and c needs the package of b, which is its own.
        ({"q": "from p.c import x", "q.b": "", "p.c": "import q.b"}, True),
        ({"p.a": "from p import b", "p.b": "def f():\n    from p import a"}, False),
        ({"p.a": "from p import b", "p.b": "if TYPE_CHECKING:\n    from p import a"}, False),
        ({"p.a": "import p.b", "p.b": "if TYPE_CHECKING: ...\nelse:\n    from p import a"}, True),
        ({"p": "from p import a", "p.a": "from p import b", "p.b": ""}, False),
    ],
)  # fmt: skip
def test_the_graph_sees_cycles(files, expected):
    packages = {name.rpartition(".")[0] for name in files}
    edges = graph({name: (source, name in packages) for name, source in files.items()})
    assert bool(cycle(edges)) is expected


def test_every_domain_is_checked():
    from sciddm.pipelines.domains import DOMAINS as LISTED

    assert sorted(LISTED) == sorted(DOMAINS)


def crossings(module: str, names: Iterable[str]) -> list[str]:
    """What of the names the module must not import, as a domain's or the engine's part."""
    parts = module.split(".")
    if parts[:2] not in (["sciddm", "pipelines"], ["sciddm", "data_adapters"]) or len(parts) < 3:
        return []
    root, folder = ".".join(parts[:2]), parts[2]
    adapters = {f"sciddm.data_adapters.{d}" for d in DOMAINS}
    pipelines = {f"sciddm.pipelines.{d}" for d in DOMAINS}
    if folder in DOMAINS:
        adapters -= {f"sciddm.data_adapters.{d}" for d in (folder, HOLDS.get(folder))}
        others = adapters | (pipelines - {f"sciddm.pipelines.{folder}"})
    elif folder == "engine":
        others = adapters | pipelines
        others |= {f"{root}.{name}" for name in ("cli", "commands", "domains", "elsewhere", "open")}
    else:
        return []
    return [name for name in names if any(within(name, other) for other in others)]


def test_domains_and_engine_stay_apart():
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, module in sources()
        for name in crossings(
            module, sorted(imports(path.read_text(), module, path.name == "__init__.py"))
        )
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("module", "name", "forbidden"),
    [
        ("sciddm.pipelines.ct.page", "sciddm.pipelines.mri.page.verdict", True),
        ("sciddm.pipelines.ct.page", "sciddm.data_adapters.mri.open_kspace", True),
        ("sciddm.data_adapters.ct.nifti", "sciddm.data_adapters.petct.volume", True),
        ("sciddm.data_adapters.petct.images", "sciddm.data_adapters.ct.nifti", False),
        ("sciddm.pipelines.petct.page", "sciddm.pipelines.ct.page", True),
        ("sciddm.pipelines.engine.run", "sciddm.pipelines.ct", True),
        ("sciddm.pipelines.engine.report.page", "sciddm.pipelines.domains.DOMAINS", True),
        ("sciddm.pipelines.ct.page", "sciddm.pipelines.engine.report.page.Report", False),
        ("sciddm.pipelines.ct.page", "sciddm.data_adapters.ct.open_ct", False),
        ("sciddm.pipelines.open", "sciddm.pipelines.ct", False),
    ],
)
def test_the_check_sees_what_crosses(module, name, forbidden):
    assert bool(crossings(module, [name])) is forbidden
