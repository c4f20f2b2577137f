"""Bodies and noise of CT."""
