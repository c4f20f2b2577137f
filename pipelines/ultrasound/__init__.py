"""Ultrasound: dehazing by joint posterior sampling of two priors."""
