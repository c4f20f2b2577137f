"""Random numbers that depend on the item, not on the batch, the tile or the device."""
