"""``python -m sciddm`` is the command line, as ``sciddm`` is."""

from sciddm.pipelines.cli import main

if __name__ == "__main__":  # a worker that Python starts anew imports this file, too
    main()
