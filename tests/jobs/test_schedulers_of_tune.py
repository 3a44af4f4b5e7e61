"""HyperBand and PBT, which pause and copy trials, on a Ray that is already running."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from tests.runs import elsewhere, local, settings, table, tiny

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(300)]

HOLD_A_CLUSTER = """
import ray, sys
ray.init(address="local", include_dashboard=False, num_cpus=2, object_store_memory=2**27,
         _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start Ray in a process of its own and tell its address; it ends with its stdin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        command = [sys.executable, "-c", HOLD_A_CLUSTER]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True) as held:
            assert held.stdin
            assert held.stdout
            yield held.stdout.readline().strip()
            held.stdin.close()


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_schedulers_of_tune_account_for_every_trial(
    scheduler: str, cluster: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    rates = "space.learning_rate={log = [1e-5, 1e-1]}"
    answer = elsewhere(
        *("sweep", tiny(tmp_path), "--store", str(store), "--json", "--address", cluster),
        *("--trials", "4", "--epochs", "4"),
        *settings(rates, f"search.scheduler={scheduler}", "search.objective=val_loss"),
        *settings("training.early_stopping_patience=0"),
    )
    assert answer.code == 0, answer.stderr
    counts = answer.document["trials"]
    rows = table(local(store), "trials")
    assert len(rows) == sum(counts.values()) == 4
    assert Counter(row["status"] for row in rows) == Counter(counts)
    assert counts["failed"] == 0, [row["error_message"] for row in rows]
    assert counts["completed"] >= 1
    epochs = Counter(row["trial_id"] for row in table(local(store), "epochs"))
    assert epochs == {row["trial_id"]: row["epochs_run"] for row in rows}
    best = answer.document["best"]
    assert best["value"] == min(row["val_loss"] for row in rows if row["status"] == "completed")
    assert Path(best["model_uri"]).is_file()
    if scheduler == "pbt":
        assert counts == {"completed": 4, "stopped": 0, "failed": 0}
        rates_of: dict[str, set[float]] = {}
        for row in table(local(store), "epochs"):
            rates_of.setdefault(row["trial_id"], set()).add(row["learning_rate"])
        assert any(len(rates) > 1 for rates in rates_of.values())  # somebody went on with another
