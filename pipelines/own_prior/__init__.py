"""A prior of one's own: from a folder of files to a model folder with verdicts."""
