"""The domains, by name. None is imported before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sciddm.pipelines.engine.domain import Domain

__all__ = ["DOMAINS", "declared", "load_domain"]

#: Name -> one line of help. Each is a package whose module ``requests`` holds a ``DOMAIN``.
DOMAINS = {
    "mri": "MRI: images from multi-coil raw data.",
    "ct": "CT: low-dose images and projections.",
    "speech": "Speech: recordings without their noise and echo.",
    "hsi": "Hyperspectral: satellite cubes without noise.",
    "ultrasound": "Ultrasound: scans without haze.",
    "petct": "PET/CT: tumour segmentation, SUV.",
}


def declared() -> list[str]:
    """Names of the domains whose verbs are declared in ``requests``."""
    return [n for n in DOMAINS if importlib.util.find_spec(f"sciddm.pipelines.{n}.requests")]


def load_domain(name: str) -> Domain:
    """A domain with its verbs."""
    domain: Domain = importlib.import_module(f"sciddm.pipelines.{name}.requests").DOMAIN
    return domain
