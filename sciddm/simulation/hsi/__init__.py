"""Scenes of spectra with the noise of a sensor."""
