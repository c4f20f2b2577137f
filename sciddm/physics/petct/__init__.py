"""PET/CT: lesions and their uptake."""
