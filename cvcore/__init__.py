"""The nouns of cvjobs: no Ray, no S3, no Typer.

In this package a file is light and a folder is heavy: files start without TensorFlow, the folders
`datasets`, `models`, `training` and `evaluation` are the four stages of a trial and may need it.
Imports go one way, down this list (docs/architecture.md says what each is, `make check` holds it)::

    lake | results | trial
    scoring
    parts
    tables | rows
    datasets | models | training | evaluation
    search | config, config_space, draft
    events
    layout | store | records | runtime | card
    geometry | hyperparameters
    settings, catalog, bases | spaces | toml
    errors
"""

__version__ = "0.1.0"
