"""Three verdicts on a result: does it fit the data, is it calibrated, is the input familiar?

    fits         the estimate explains its own measurement: residual in units of the noise
    calibrated   the estimate predicted data that it was not shown, within its standard deviation
    familiar     the input is like those that the model was calibrated on

Each is "yes", "no" or "not checked", with the figure that decides, the limit it is held against and
one sentence. A result without any of the checks says "not checked" three times, never "yes".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

__all__ = ["Answer", "Deviation", "Finding", "Verdict"]

Answer = Literal["yes", "no", "not checked"]
#: What a check says of the standard deviation; empty where it does not say which.
Deviation = Literal["", "too small", "too large"]

_ANSWERS = get_args(Answer)
_DEVIATIONS = get_args(Deviation)
_NAMES = ("fits", "calibrated", "familiar")
_DIGITS = 6


@dataclass(frozen=True)
class Finding:
    """The answer to one of the three questions.

    Attributes:
        answer: "yes", "no" or "not checked".
        figure: the number that decides, None where there is none.
        limit: the number it is held against, None where there is none.
        sentence: the answer in words, with its reason; it ends in a full stop.
        deviation: which way the standard deviation is wrong, where the check tells.

    Raises:
        ValueError: another answer or deviation, a figure or limit that is not finite, "yes" or
            "no" without words.
    """

    answer: Answer = "not checked"
    figure: float | None = None
    limit: float | None = None
    sentence: str = ""
    deviation: Deviation = ""

    def __post_init__(self) -> None:
        if self.deviation not in _DEVIATIONS:
            raise ValueError(f"a deviation is too small or too large, not {self.deviation!r}")
        if self.answer not in _ANSWERS:
            raise ValueError(f"an answer is one of {', '.join(_ANSWERS)}, not {self.answer!r}")
        for name, value in (("figure", self.figure), ("limit", self.limit)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"the {name} of a finding is finite or None, not {value}")
        if self.answer != "not checked" and not self.sentence:
            raise ValueError(f"a finding with the answer {self.answer!r} needs a sentence")


@dataclass(frozen=True)
class Verdict:
    """Whether to trust a result.

    Attributes:
        fits: the estimate against its own measurement.
        calibrated: the estimate and its standard deviation against data it was not shown.
        familiar: the input against those that the model was calibrated on.
    """

    fits: Finding = field(default_factory=Finding)
    calibrated: Finding = field(default_factory=Finding)
    familiar: Finding = field(default_factory=Finding)

    @property
    def warnings(self) -> list[str]:
        """The sentences of every "no", in the order of the questions."""
        return [f.sentence for f in (self.fits, self.calibrated, self.familiar) if f.answer == "no"]

    def attributes(self) -> dict[str, str]:
        """As a result holds it.

        Returns:
            ``verdict_fits``, ``verdict_calibrated``, ``verdict_familiar``: the answers; and
            ``verdict``: all three findings as JSON text, {name: {answer, figure, limit, sentence,
            deviation}}.
        """
        findings = {name: getattr(self, name) for name in _NAMES}
        table = {name: _rounded(asdict(finding)) for name, finding in findings.items()}
        answers = {f"verdict_{name}": finding.answer for name, finding in findings.items()}
        return {**answers, "verdict": json.dumps(table, allow_nan=False)}

    @classmethod
    def from_attributes(cls, attrs: Mapping[Any, Any]) -> Self:
        """The verdict that ``attributes`` wrote; "not checked" where there is none.

        Args:
            attrs: of a result.

        Raises:
            ValueError: the attribute ``verdict`` is damaged.
        """
        text = attrs.get("verdict")
        if text is None:
            return cls()
        try:
            table = json.loads(str(text))
            return cls(**{name: Finding(**table[name]) for name in _NAMES if name in table})
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"the attribute 'verdict' is damaged: {error}") from error


def _rounded(finding: dict[str, object]) -> dict[str, object]:
    """With figures of few digits: more would say more than a check knows."""
    return {
        key: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for key, value in finding.items()
    }
