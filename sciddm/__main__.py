"""``python -m sciddm`` is the command line, as ``sciddm`` is."""

from sciddm.pipelines.cli import main

main()
