"""Low rank, total variation and smooth spectra of hyperspectral cubes."""
