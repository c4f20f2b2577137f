"""Whether a shortcut leaves a pipeline's results what they are.

A shortcut is accepted if, on the mean over validation cases,

    PSNR falls by at most .1 dB,  SSIM by .005,  coverage moves by at most .01 either way,
    and the misfit of the data by at most 2 % of the noise

against the same pipeline without it, on the same cases with the same noise. A biased shortcut that
is no worse in quality, such as one whose samples agree with each other too well, fails by coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sciddm.acceleration.plan import NO_PLAN, SHORTCUTS, Plan

__all__ = ["LIMITS", "Certificate", "Measured", "certify", "shortcuts"]


@dataclass(frozen=True)
class Measured:
    """One case.

    Attributes:
        psnr: in dB.
        ssim: at most 1.
        coverage: share of the truth in the 90 % intervals.
        misfit: root mean square of the data's residual, in units of the noise.
        seconds: of processor time.
    """

    psnr: float
    ssim: float
    coverage: float
    misfit: float
    seconds: float


#: What may be lost, of a mean; coverage and misfit may not gain as much either.
LIMITS = {"psnr": 0.1, "ssim": 0.005, "coverage": 0.01, "misfit": 0.02}
_TWO_SIDED = ("coverage", "misfit")


@dataclass(frozen=True)
class Certificate:
    """A shortcut beside the pipeline without it.

    Attributes:
        name: of the quality and the shortcut.
        before: means without it.
        after: means with it.
        worst_db: the change of PSNR of the case that loses most.
        cases: their number.
    """

    name: str
    before: Measured
    after: Measured
    worst_db: float
    cases: int

    @property
    def broken(self) -> tuple[str, ...]:
        """The limits that are not kept."""
        return tuple(
            name
            for name, limit in LIMITS.items()
            if not self._loss(name) <= limit  # what is not a number is not kept either
        )

    @property
    def holds(self) -> bool:
        """Whether the shortcut is accepted."""
        return not self.broken

    def _loss(self, name: str) -> float:
        change: float = getattr(self.after, name) - getattr(self.before, name)
        return abs(change) if name in _TWO_SIDED else -change

    def __str__(self) -> str:
        b, a = self.before, self.after
        verdict = "accepted" if self.holds else f"refused ({', '.join(self.broken)})"
        return (
            f"| {self.name} | {b.psnr:.2f} | {a.psnr:.2f} | {self.worst_db:+.2f} | {b.ssim:.4f} "
            f"| {a.ssim:.4f} | {b.coverage:.3f} | {a.coverage:.3f} | {b.misfit:.3f} "
            f"| {a.misfit:.3f} | {b.seconds:.1f} | {a.seconds:.1f} | {verdict} |"
        )


def certify(name: str, before: Sequence[Measured], after: Sequence[Measured]) -> Certificate:
    """Compares the same cases without a shortcut and with it.

    Raises:
        ValueError: no cases, or other ones.
    """
    if not before or len(before) != len(after):
        raise ValueError(f"{len(before)} cases without the shortcut, {len(after)} with it")
    worst = min(a.psnr - b.psnr for b, a in zip(before, after, strict=True))
    return Certificate(name, _mean(before), _mean(after), worst, len(before))


def shortcuts(plan: Plan, quality: str) -> dict[str, Plan]:
    """Each shortcut of a plan alone that has an effect at a quality, and ``all`` of them."""
    alone = {
        name: replace(NO_PLAN, **{name: getattr(plan, name)})
        for name in SHORTCUTS
        if (plan.settings.get(quality) if name == "settings" else getattr(plan, name))
    }
    return alone | {"all": plan} if len(alone) > 1 else alone


def _mean(cases: Sequence[Measured]) -> Measured:
    return Measured(
        *(
            fmean(getattr(c, name) for c in cases)
            for name in ("psnr", "ssim", "coverage", "misfit", "seconds")
        )
    )
