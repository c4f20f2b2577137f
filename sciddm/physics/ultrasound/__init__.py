"""Ultrasound: pulses, local spectra, and what tissue and haze add up to."""
