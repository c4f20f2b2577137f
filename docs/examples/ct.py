"""Low-dose CT: a noisy volume to a clean one, in HU."""

import sciddm

volume = sciddm.open("low.nii.gz", domain="ct")
result = sciddm.ct.denoise(volume, quality="fast", seed=0)
print(result)
print(result.estimate.sizes, float(result.std.mean()))
result.save("clean.nii.gz")
