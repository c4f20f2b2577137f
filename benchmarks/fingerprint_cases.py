"""Command lines of `benchmarks.fingerprints`: each verb, method and path that has code of its own.

IN is the folder of the domain's input (`fingerprint_inputs`), OUT an empty one. Seeds are the
default, 0. Names begin with the domain and the verb.
"""

from __future__ import annotations

__all__ = ["CASES"]

#: Case -> its command line.
CASES = {
    "mri reconstruct coils": "mri reconstruct IN/coils.h5 -o OUT/image.h5 --quality fast",
    "mri reconstruct samples": "mri reconstruct IN/coils.h5 -o OUT/image.nc --quality fast "
    "--coils 0 --samples 3 --keep-samples",
    "mri reconstruct undersample": "mri reconstruct IN/full.h5 -o OUT/image.nii.gz --quality fast "
    "--undersample 3 --acs 12",
    "mri reconstruct cropped": "mri reconstruct IN/cropped.h5 -o OUT/series --quality fast",
    "mri reconstruct radial": "mri reconstruct IN/radial.nc -o OUT/image.h5 --quality fast",
    "mri reconstruct conditional": "mri reconstruct IN/full.h5 -o OUT/image.h5 --quality fast "
    "--undersample 3 --acs 12 --axis kx --model mri-brain-conditional",
    "mri undersample": "mri undersample IN/full.h5 -o OUT/less.h5 -R 4 --mask gaussian --acs 8",
    "mri acquire": "mri acquire IN/full.h5 -o OUT/less.h5 --lines 14 --particles 4",
    "ct denoise residual": "ct denoise IN/low -o OUT/series --quality fast",
    "ct denoise filter2noise": "ct denoise IN/low.nii.gz -o OUT/image.nii.gz --quality fast "
    "--method filter2noise",
    "ct denoise noise2score": "ct denoise IN/low.nii.gz -o OUT/image.h5 --quality fast "
    "--method noise2score",
    "ct reconstruct posterior": "ct reconstruct IN/low.h5 -o OUT/image.h5 --quality fast",
    "ct reconstruct tv": "ct reconstruct IN/low.h5 -o OUT/image.nii.gz --method tv "
    "--quality fast --views 45",
    "ct reconstruct fbp": "ct reconstruct IN/low.h5 -o OUT/image.nii.gz --method fbp --dose 0.5 "
    "--window hann",
    "ct simulate-dose image": "ct simulate-dose IN/full.nii.gz -o OUT/low.nii.gz --views 90",
    "ct simulate-dose projections": "ct simulate-dose IN/full.nii.gz -o OUT/low.h5 --projections "
    "--flux 1e5 --views 90",
    "ct simulate-dose sinogram": "ct simulate-dose IN/low.h5 -o OUT/lower.h5",
    "ct evaluate": "ct evaluate --reference IN/full.nii.gz --estimate IN/low.nii.gz --json",
    "speech enhance": "speech enhance IN/noisy.wav -o OUT/clean.wav",
    "speech enhance stereo": "speech enhance IN/stereo.flac -o OUT/clean.flac --quality fast "
    "--attenuation-limit 20",
    "speech dereverb": "speech dereverb IN/reverberant.wav -o OUT/dry.wav --quality fast",
    "speech evaluate": "speech evaluate --clean IN/clean.wav --enhanced IN/noisy.wav --json",
    "hsi denoise subspace": "hsi denoise IN/scene.hdr -o OUT/cube.hdr --quality fast",
    "hsi denoise finch": "hsi denoise IN/scene.hdr -o OUT/cube.nc --quality fast --method finch",
    "hsi denoise dds2m": "hsi denoise IN/scene.hdr -o OUT/cube.npz --quality fast --method dds2m",
    "hsi denoise lowrank": "hsi denoise IN/scene.hdr -o OUT/cube.nc --quality fast "
    "--method lowrank",
    "hsi denoise tv": "hsi denoise IN/scene.hdr -o OUT/cube.nc --quality fast --method tv",
    "hsi estimate-noise": "hsi estimate-noise IN/scene.hdr --json",
    "hsi simulate": "hsi simulate -o OUT/scene.hdr --lines 40 --samples 36 "
    "--bands 20 --noise mixture",
    "hsi evaluate": "hsi evaluate --clean IN/scene_truth.hdr --denoised IN/scene.hdr --json",
    "ultrasound dehaze rf": "ultrasound dehaze IN/hazy.h5 -o OUT/tissue.h5 --quality fast",
    "ultrasound dehaze iq": "ultrasound dehaze IN/iq.h5 -o OUT/tissue.npz --quality fast "
    "--gamma 1 --guidance dps",
    "ultrasound dehaze picture": "ultrasound dehaze IN/picture.png -o OUT/tissue.png "
    "--quality fast",
    "ultrasound beamform": "ultrasound beamform IN/channels.npz -o OUT/image.h5 --depth 5-17 "
    "--lines 33",
    "ultrasound simulate": "ultrasound simulate -o OUT/hazy.h5 --clean OUT/clean.h5 --depth 128 "
    "--lines 32 --view short-axis --iq",
    "ultrasound evaluate": "ultrasound evaluate --clean IN/clean.h5 --dehazed IN/hazy.h5 --json",
    "petct segment": "petct segment --pet IN/pet --ct IN/ct -o OUT/mask.nii.gz --quality fast "
    "--rtstruct",
    "petct segment nifti": "petct segment --pet IN/pet.nii.gz --ct IN/ct.nii.gz "
    "-o OUT/mask.nii.gz --quality fast --samples 3 --threshold 0.3",
    "petct suv": "petct suv IN/pet -o OUT/suv.nii.gz",
    "petct evaluate": "petct evaluate --reference IN/true.nii.gz --estimate IN/other.nii.gz --json",
}
