"""MRI: sampling, coils, noise, and the frame that a prior sees."""

from typing import TYPE_CHECKING

from sciddm.lazy import attach

if TYPE_CHECKING:
    from sciddm.physics.mri.cartesian import CartesianMRI

__all__ = ["CartesianMRI"]

# torch takes two seconds to import, which sampling masks and plain numbers need not spend.
__getattr__, __dir__ = attach(
    __name__,
    {
        "CartesianMRI": "sciddm.physics.mri.cartesian",
    },
)
