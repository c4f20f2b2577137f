"""Ultrasound: a hazy scan to its tissue."""

import sciddm

scan = sciddm.open("hazy.h5")
result = sciddm.ultrasound.dehaze(scan, quality="fast", seed=0)
print(result)
print(result.estimate.sizes, result.warnings)
result.save("tissue.h5")
