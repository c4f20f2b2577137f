"""How well a result's model, noise level and operator explain the result's own data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sciddm.errors import InputError

if TYPE_CHECKING:
    from sciddm.pipelines.engine.result import Result

__all__ = ["Evidence", "evidence"]


@dataclass(frozen=True)
class Evidence:
    """The logarithm of the predictive density of data that were kept out.

    Attributes:
        nats: ln p(kept-out data | the other data, hypothesis), summed over the data.
        count: kept-out data.
    """

    nats: float
    count: int

    @property
    def each(self) -> float:
        """Nats a datum."""
        return self.nats / self.count

    def __repr__(self) -> str:
        return f"<{self.nats:.1f} nats of {self.count} data that were kept out>"


def evidence(result: Result) -> Evidence:
    """ln p(y_out | y_in) of a result's data under its model, noise level and operator.

    Some data y_out were kept out of a short chain, which predicts them from the others, y_in
    (``uncertainty.prediction``). The evidence log p(y) is the sum of such terms over all data; one
    of them is a proper scoring rule, too, and unlike log p(y) it can be computed for thousands of
    pixels. Of two results of one scan with the same seed, and so the same kept-out data, the one
    with the larger value has the better noise level, coil maps, or prior. Values of different
    scans, undersamplings or seeds cannot be compared, nor those before and after coil compression.

    Args:
        result: of ``mri.reconstruct`` or ``ct.reconstruct`` (posterior).

    Raises:
        InputError: of another verb or method, or of a scan of which nothing could be kept out.
    """
    attrs = result.attrs
    if "prediction_log_score" not in attrs:
        raise InputError(
            "this result has no evidence: it is of `mri reconstruct` and `ct reconstruct` "
            "(posterior), where enough was measured to keep some data out"
        )
    return Evidence(float(attrs["prediction_log_score"]), int(attrs["prediction_samples"]))
