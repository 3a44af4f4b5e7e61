"""The nouns of cvjobs: no Ray, no S3, no Typer.

In this package a file is light and a folder is heavy: files start without TensorFlow, the folders
`datasets`, `models`, `training` and `evaluation` are the four stages of a trial and may need it.
Imports go one way, from the top of this list to the bottom (`make check` holds it)::

    lake | results | trial          what analysts read, what they ask, and the four stages composed
    parts                           which Parquet files follow from a sweep's event log
    tables | rows                   the Arrow schema of every table; records as rows
    datasets | models | training | evaluation
    search | config                 who decides what is tried; spec file -> frozen objects
    events                          what happened in a sweep, and the state that follows
    layout | store | records
    settings | geometry | hyperparameters | catalog   what can be set, what fits into an image, what exists by name
    spaces
    errors
"""

__version__ = "0.1.0"
