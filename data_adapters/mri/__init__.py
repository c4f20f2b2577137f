"""MRI raw data and images: one file per format, all with `scan`'s form of a scan."""

from sciddm.data_adapters.mri.open import open_kspace, open_maps

__all__ = ["open_kspace", "open_maps"]
