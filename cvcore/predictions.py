"""The file of predictions that a worker leaves at the end of a trial.

Its columns are laid out in memory here, because `pa.array` imports pandas wherever that is
installed, and Ray Tune installs it: 0.35 s in the first trial of every worker.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvcore.tables import SCHEMAS, to_parquet


def predictions_file(
    *,
    sweep_id: str,
    trial_id: str,
    split: str,
    paths: Sequence[str],
    labels: Sequence[str],
    predicted: Sequence[str],
    probabilities: npt.ArrayLike,
) -> bytes:
    """Write the predictions of one trial on one split; all sequences in the same order.

    `probabilities` is float32 [images, classes], from 0 to 1.
    """
    count = len(paths)
    correct = [label == guess for label, guess in zip(labels, predicted, strict=True)]
    columns = {
        "sweep_id": _texts([sweep_id] * count),
        "trial_id": _texts([trial_id] * count),
        "split": _texts([split] * count),
        "path": _texts(paths),
        "label": _texts(labels),
        "predicted": _texts(predicted),
        "correct": _flags(correct),
        "probabilities": _lists(np.asarray(probabilities, np.float32)),
    }
    schema = SCHEMAS["predictions"]
    arrays = [columns[name] for name in schema.names]
    return to_parquet("predictions", pa.Table.from_arrays(arrays, schema=schema))


def _texts(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return _array(pa.string(), len(values), ends, b"".join(encoded))


def _flags(values: Sequence[bool]) -> pa.Array:
    bits = np.packbits(np.asarray(values, bool), bitorder="little")
    return _array(pa.bool_(), len(values), bits)


def _lists(values: npt.NDArray[np.float32]) -> pa.Array:
    count, width = values.shape
    inner = _array(pa.float32(), values.size, np.ascontiguousarray(values))
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return _array(pa.list_(pa.float32()), count, ends, children=[inner])


def _array(
    kind: pa.DataType,
    count: int,
    *buffers: npt.NDArray[np.generic] | bytes,
    children: Sequence[pa.Array] | None = None,
) -> pa.Array:
    """Take buffers as they are for an array without nulls."""
    laid = [None, *(pa.py_buffer(one) for one in buffers)]
    return pa.Array.from_buffers(kind, count, laid, children=children)
