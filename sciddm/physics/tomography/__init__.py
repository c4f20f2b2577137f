"""CT: Hounsfield units, dose, scanners."""
