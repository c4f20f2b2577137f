"""Studies with a tumour."""
