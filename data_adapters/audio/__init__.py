"""Audio files, one reader and one writer for all formats."""
