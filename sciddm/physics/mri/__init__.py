"""MRI: sampling, coils, noise, and the frame that a prior sees."""

from sciddm.physics.mri.cartesian import CartesianMRI

__all__ = ["CartesianMRI"]
