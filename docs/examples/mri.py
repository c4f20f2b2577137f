"""MRI: an undersampled scan to an image with its uncertainty."""

import sciddm

scan = sciddm.open("scan.h5")
result = sciddm.mri.reconstruct(scan, quality="fast", seed=0)
print(result)
print(result.estimate.sizes, float(result.std.max()), result.verdict.fits.answer)
result.save("image.h5")
