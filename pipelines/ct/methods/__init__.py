"""Denoising of CT images, one method a file; see `base` for what they share."""
