"""sciddm: diffusion models for people who measure things.

    scan = sciddm.open("scan.h5")
    result = sciddm.mri.reconstruct(scan, quality="fast", seed=0)
    result.estimate, result.std, result.warnings, result.verdict
    result.save("image.nii.gz")

``sciddm.mri``, ``ct``, ``hsi``, ``petct``, ``speech`` and ``ultrasound`` have the verbs of the
command line under the same names, with the same options.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciddm.errors import InputError, ModelError, OptionError, OutputError, SciddmError
    from sciddm.inverse import sample_posterior
    from sciddm.pipelines.ct import requests as ct
    from sciddm.pipelines.engine.evidence import evidence
    from sciddm.pipelines.engine.result import Result
    from sciddm.pipelines.hsi import requests as hsi
    from sciddm.pipelines.mri import requests as mri
    from sciddm.pipelines.open import open_any as open
    from sciddm.pipelines.petct import requests as petct
    from sciddm.pipelines.speech import requests as speech
    from sciddm.pipelines.ultrasound import requests as ultrasound
    from sciddm.zoo.pretrained import from_pretrained as load

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "ModelError",
    "OptionError",
    "OutputError",
    "Result",
    "SciddmError",
    "__version__",
    "ct",
    "evidence",
    "hsi",
    "load",
    "mri",
    "open",
    "petct",
    "sample_posterior",
    "speech",
    "ultrasound",
]

# Loaded on first use: `import sciddm` needs neither torch nor xarray.
_NAMES = {
    **dict.fromkeys(
        ("InputError", "ModelError", "OptionError", "OutputError", "SciddmError"), "sciddm.errors"
    ),
    "Result": "sciddm.pipelines.engine.result",
    "evidence": "sciddm.pipelines.engine.evidence",
    "load": "sciddm.zoo.pretrained:from_pretrained",
    "open": "sciddm.pipelines.open:open_any",
    "sample_posterior": "sciddm.inverse",
}
#: Domains whose verbs are declared in ``requests``.
_DOMAINS = ("mri", "ct", "speech", "hsi", "ultrasound", "petct")
_MODULES = {name: f"sciddm.pipelines.{name}.requests" for name in _DOMAINS}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _NAMES:
        module, _, attribute = _NAMES[name].partition(":")
        return getattr(importlib.import_module(module), attribute or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
