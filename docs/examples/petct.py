"""PET/CT: a study to a mask of its tumours."""

import sciddm

pet = sciddm.open("pet.nii.gz", domain="petct")
ct = sciddm.open("ct.nii.gz", domain="ct")
result = sciddm.petct.segment(pet, ct=ct, quality="fast", seed=0)
print(result)
result.save("mask.nii.gz")
