"""Write trials to Optuna's SQLite storage and ask the three questions. Prints one JSON document.

Fewest calls that its documentation knows: whole trials, added together. Every question opens the
storage anew, as `cvjobs results` does.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from benchmarks.rounds import time_answers

DISTRIBUTIONS = {
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "optimizer": CategoricalDistribution(["adam", "adamw", "rmsprop", "sgd"]),
}


def write(url: str, trials: list[dict[str, Any]], *, num_epochs: int) -> None:
    """Add every trial with its curve."""
    study = optuna.create_study(storage=url, study_name="sweep", direction="maximize")
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: trial[name] for name in DISTRIBUTIONS},
                distributions=DISTRIBUTIONS,
                value=trial["value"],
                intermediate_values={
                    epoch: trial["value"] * epoch / num_epochs for epoch in range(1, num_epochs + 1)
                },
            )
        )


def top_ten(url: str) -> list[float]:
    trials = _study(url).get_trials(deepcopy=False)
    return sorted((trial.value for trial in trials if trial.value is not None), reverse=True)[:10]


def curve(url: str, number: int) -> list[float]:
    trial = _study(url).get_trials(deepcopy=False)[number]
    return list(trial.intermediate_values.values())


def means(url: str) -> dict[str, float]:
    frame = _study(url).trials_dataframe()
    return dict(frame.groupby("params_optimizer")["value"].mean())


def _study(url: str) -> optuna.Study:
    return optuna.load_study(study_name="sweep", storage=url)


def main() -> None:
    source, folder, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    document = json.loads(source.read_text())
    trials = document["trials"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{folder}/optuna.db"
    started = time.perf_counter()
    write(url, trials, num_epochs=document["num_epochs"])
    found: dict[str, Any] = {
        "write_seconds": time.perf_counter() - started,
        "version": optuna.__version__,
        "bytes": sum(path.stat().st_size for path in folder.glob("optuna.db*")),
    }
    walk = cycle(range(len(trials) // 2, len(trials)))
    questions = {
        "top_ten": lambda: top_ten(url),
        "curve": lambda: curve(url, next(walk)),
        "means": lambda: means(url),
    }
    print(json.dumps({**found, **time_answers(questions, rounds=rounds)}))


if __name__ == "__main__":
    main()
