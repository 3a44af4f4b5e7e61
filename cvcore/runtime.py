"""Start TensorFlow in this process: how many threads, how much memory, how reproducible.

Must run before anything else imports TensorFlow here: thread settings are read once. Measured on
2 cores: the import costs 8-9 s, of which 3.5-4 s are optional packages that Keras imports if it
finds them and never needs for training; hiding them halves the start of every worker.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import cast

from cvcore.errors import UsageError

OPTIONAL_PACKAGES = ("sklearn", "matplotlib", "scipy", "pandas", "tensorboard")


def start_tensorflow(*, threads: int, deterministic: bool = False, use_gpus: bool = True) -> float:
    """Import TensorFlow and Keras with `threads` CPU threads; return the seconds it took.

    `deterministic` makes every later operation of this process repeat bit for bit. A process that
    has TensorFlow already keeps its threads and devices. Raises `UsageError` where it is missing.
    """
    started = time.perf_counter()
    if "tensorflow" not in sys.modules:
        require_tensorflow()
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
        if not use_gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with _held_back_stderr():
            _import_lean()
    if deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    return time.perf_counter() - started


def require_tensorflow() -> None:
    """Raise `UsageError` with the way out where TensorFlow is not installed."""
    if find_spec("tensorflow") is None:
        raise UsageError(
            "TensorFlow is not installed: cvjobs needs one of its extras, cpu or gpu",
            hint="pip install 'cvjobs[cpu]'   (or 'cvjobs[gpu]' on a machine with NVIDIA GPUs)",
        )


def _import_lean() -> None:
    """Import with the optional packages hidden, then let later code find them again."""
    hidden = [name for name in OPTIONAL_PACKAGES if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = cast("type(sys)", None)  # type: ignore[valid-type]
    try:
        # No operation here: a process may still set its logical devices, or fork.
        import keras  # noqa: F401
        import tensorflow as tf

        # It warns of retracing, which is what a sweep does: a new model has new graphs.
        tf.get_logger().setLevel("ERROR")
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Keep from the user what TensorFlow 2.21 prints at import whatever its log level is set to.

    It comes from C++ before logging is set up: four lines on oneDNN. If the import fails, they are
    shown after all.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
