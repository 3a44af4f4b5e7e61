"""The card in a model file: how images become its input, and what its outputs mean."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvcore.errors import UsageError

MEMBER = "cvjobs.json"
NO_MODEL_HINT = "cvjobs results leaderboard   (the best trial has a model; its id will do as MODEL)"


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Add a card to a `.keras` file; Keras itself ignores it."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, json.dumps(card, indent=1))


def read_card(path: Path) -> dict[str, Any]:
    """Read the card of a `.keras` file; raise `UsageError` for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            card: dict[str, Any] = json.loads(archive.read(MEMBER))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"expected a .keras model file, received {path}: {error}", hint=NO_MODEL_HINT
        ) from error
    except KeyError:
        raise UsageError(
            f"{path} was not saved by cvjobs: it lacks the card that tells its classes and input",
            hint=NO_MODEL_HINT,
        ) from None
    return card
