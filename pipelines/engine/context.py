"""What a verb gets beside its data and options while it computes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from sciddm.pipelines.engine.unfinished import Unfinished
from sciddm.progress import Progress

__all__ = ["Context", "silent"]


def silent(steps: int, total: int, label: str) -> None:
    """Progress that nobody is shown."""


@dataclass
class Context:
    """One computation.

    Attributes:
        progress: called after every step.
        source: name of the input, for messages.
        target: main output, None for a call from Python.
        identity: what decides the result (request, hash of the input), by which unfinished work is
            known.
    """

    progress: Progress = silent
    source: str = "the data"
    target: Path | None = None
    identity: dict[str, object] = field(default_factory=dict)
    _scratch: tempfile.TemporaryDirectory[str] | None = None
    _parts: list[Unfinished] = field(default_factory=list)

    def scratch(self) -> Path:
        """A folder for what does not fit into memory; it lives as long as the result.

        It lies beside the output, where there must be room for the result anyway.
        """
        if self._scratch is None:
            place = None if self.target is None else self.target.parent
            self._scratch = tempfile.TemporaryDirectory(
                prefix=".sciddm-", dir=place, ignore_cleanup_errors=True
            )
        return Path(self._scratch.name)

    def unfinished(self, **more: object) -> Unfinished | None:
        """Where finished parts are kept for the next run of the same; None for calls from Python.

        Args:
            more: what decides the result beside the request and the input, such as weights.
        """
        if self.target is None:
            return None
        parts = Unfinished(self.target, {**self.identity, **more})
        parts.open()
        self._parts.append(parts)
        return parts

    def finish(self) -> None:
        """Removes finished parts, once the outputs are written."""
        for parts in self._parts:
            parts.close()
        self._parts.clear()

    def close(self) -> None:
        """Removes the scratch folder."""
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None
