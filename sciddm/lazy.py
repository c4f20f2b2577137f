"""Names of a package that are loaded on first use.

torch and MONAI take seconds to import; ``import sciddm`` and ``sciddm --help`` need neither.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["attach"]


def attach(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose names live in other modules.

    Args:
        package: ``__name__`` of the package.
        modules: from a public name to the full name of its module.

    Returns:
        the two functions, to be bound as ``__getattr__, __dir__ = attach(...)``.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(modules[name])
        return getattr(module, name)

    def names() -> list[str]:
        return sorted(modules)

    return load, names
