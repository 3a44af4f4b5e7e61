"""Why a file cannot be trained on: a short code to count by, and a sentence to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one file; `str()` of it is the `reason` column of the images table."""

    code: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"


class Unusable(Exception):
    """One file cannot be used; the others can."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.problem = Problem(code=code, sentence=sentence)
