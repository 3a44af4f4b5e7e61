"""How a judged model looks to a person: scores and what puts them into perspective, then errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.adapters.console import Console
from jobs.wiring import OutputFile

MISTAKES_SHOWN = 10
SCORES = ("accuracy", "f1_weighted", "f1_macro")
# The thresholds whose neighbours on the curve are shown, beside the applied and the best one.
_SHOWN_THRESHOLDS = (0.1, 0.3, 0.7, 0.9)


def show_evaluation(
    console: Console, document: Mapping[str, Any], *, files: Mapping[str, OutputFile]
) -> None:
    """Print the document of `cvjobs evaluate` as tables, then where files were written."""
    _classes(console, document)
    _confusion(console, document)
    _scores(console, document)
    if document["thresholds"] is not None:
        _thresholds(console, document["thresholds"], split=document["split"])
    _mistakes(console, document)
    for what, file in files.items():
        console.text(f"{what} written to {file.uri}")


def _classes(console: Console, document: Mapping[str, Any]) -> None:
    num_images = document["num_images"]
    columns = ["class", "precision", "recall", "f1", "support"]
    rows = [[one[name] for name in ("label", *columns[1:])] for one in document["classes"]]
    rows.append(["accuracy", None, None, document["accuracy"], num_images])
    for name, average in document["averages"].items():
        rows.append([f"{name} average", *(average[c] for c in columns[1:4]), num_images])
    console.table(
        f"{document['split']} split of {document['data']}: {num_images:,} images", columns, rows
    )


def _confusion(console: Console, document: Mapping[str, Any]) -> None:
    names = [one["label"] for one in document["classes"]]
    rows = [
        [name, *(f"{c:,} ({p:.1f} %)" for c, p in zip(counts, percents, strict=True))]
        for name, counts, percents in zip(
            names, document["confusion"], document["confusion_percent"], strict=True
        )
    ]
    columns = ["label", *(f"as {name}" for name in names)]
    console.table("confusion: images, and percent of the label's", columns, rows)


def _scores(console: Console, document: Mapping[str, Any]) -> None:
    """Print each score between the ends of its interval, and beside it what needs no picture."""
    intervals, baseline = document["intervals"], document["baseline"]
    level = f"{intervals['level']:.0%}".replace("%", " %")
    columns = ["score", "value", f"{level} from", "to", f"always {baseline['label']}"]
    rows = [
        [name, document[name], intervals[name]["low"], intervals[name]["high"], baseline[name]]
        for name in SCORES
    ]
    console.table("scores, their confidence intervals and the baseline", columns, rows)
    calibration = document["calibration"]
    console.text(
        f"f1_weighted {document['f1_weighted']:.4f}   f1_macro {document['f1_macro']:.4f}   "
        f"accuracy {document['accuracy']:.4f}   loss {document['loss']:.4f}\n"
        f"calibration error {calibration['expected_error']:.4f} on average, "
        f"{calibration['maximum_error']:.4f} at most   Brier score {calibration['brier']:.4f}   "
        f"guessing by frequency: accuracy {baseline['guess_accuracy']:.4f}\n"
    )


def _thresholds(console: Console, thresholds: Mapping[str, Any], *, split: str) -> None:
    rankings = {"ROC AUC": "roc_auc", "average precision": "average_precision"}
    known = [
        f", {name} {thresholds[key]:.4f}"
        for name, key in rankings.items()
        if thresholds[key] is not None
    ]
    curve = thresholds["curve"]
    near = [min(curve, key=lambda p: abs(p["threshold"] - near)) for near in _SHOWN_THRESHOLDS]
    points = {point["threshold"]: (point, "") for point in near}
    for name, mark in (("best_f1", "best F1"), ("applied", "applied")):
        point = thresholds[name]
        known_as = points.get(point["threshold"], (point, ""))[1]
        points[point["threshold"]] = (point, f"{known_as}, {mark}" if known_as else mark)
    columns = ["threshold", "precision", "recall", "f1", "specificity"]
    rows = [
        [*(point[column] for column in columns), mark]
        for _, (point, mark) in sorted(points.items())
    ]
    title = f"{thresholds['label']} predicted above a threshold{''.join(known)}"
    console.table(title, [*columns, ""], rows)
    if split != "validation":
        console.note(
            "a threshold chosen on the images it is measured on looks better than it is: choose it "
            "with --split validation"
        )


def _mistakes(console: Console, document: Mapping[str, Any]) -> None:
    mistakes = document["mistakes"]
    title = f"{len(mistakes):,} of {document['num_images']:,} images predicted wrongly"
    if not mistakes:
        console.text(title)
        return
    more = f", the surest {MISTAKES_SHOWN}" if len(mistakes) > MISTAKES_SHOWN else ""
    columns = ["path", "label", "predicted", "confidence", "label_probability"]
    rows = [[one[column] for column in columns] for one in mistakes[:MISTAKES_SHOWN]]
    console.table(title + more, columns, rows)
