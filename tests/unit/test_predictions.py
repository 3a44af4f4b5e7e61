"""The file of predictions that a worker leaves is what Arrow itself would write, without pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cvcore.predictions import predictions_file
from cvcore.tables import SCHEMAS, read_parquet

ROOT = Path(__file__).parents[2]
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=20),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_rows_are_those_that_were_given(
    rows: list[tuple[str, str, str]], num_classes: int, seed: int
) -> None:
    paths, labels, predicted = ([row[n] for row in rows] for n in range(3))
    chances = np.random.default_rng(seed).random((num_classes, len(rows)), np.float32).T
    data = predictions_file(
        sweep_id="sweep", trial_id="trial-ä", split="test",
        paths=paths, labels=labels, predicted=predicted, probabilities=chances,
    )  # fmt: skip
    columns = {
        "sweep_id": ["sweep"] * len(rows),
        "trial_id": ["trial-ä"] * len(rows),
        "split": ["test"] * len(rows),
        "path": paths,
        "label": labels,
        "predicted": predicted,
        "correct": [label == guess for label, guess in zip(labels, predicted, strict=True)],
        "probabilities": list(chances),
    }
    assert read_parquet(data).equals(pa.table(columns, schema=SCHEMAS["predictions"]))


def test_a_worker_does_not_import_pandas_for_it() -> None:
    script = (
        "import sys; from cvcore.predictions import predictions_file; "
        "predictions_file(sweep_id='s', trial_id='t', split='test', paths=['a'], labels=['b'], "
        "predicted=['b'], probabilities=[[0.5, 0.5]]); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
