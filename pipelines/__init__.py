"""Pipelines: from a file someone measured to a result someone can judge, one folder per domain.

A domain is a folder with

    pipeline.py     a `Pipeline`: measured data in, estimate with its uncertainty out
    cli.py          `app`, its verbs for the command line
    demo.py         `run_demo(folder, quality)`, which needs no file
    report.py       what its report shows

and is listed in `cli.DOMAINS`. Everything else (batches, resuming, summaries, the page a report is
printed on) is shared.
"""
