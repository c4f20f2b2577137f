"""Speech: enhancement of noisy and reverberant recordings."""
