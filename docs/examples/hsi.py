"""Hyperspectral: a noisy cube to a clean one, with flags for every entry."""

import sciddm

cube = sciddm.open("scene.hdr")
result = sciddm.hsi.denoise(cube, method="lowrank", seed=0)
print(result)
print(result.estimate.sizes, result.warnings)
result.save("clean.nc")
