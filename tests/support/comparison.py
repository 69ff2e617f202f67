"""Searches whose arms ran on several seeds, for the tests of the comparison."""

from __future__ import annotations

import dataclasses
from typing import Any

from reports.records import Search
from tests.support.make_search import make_search, make_trial


def repeated(scores: dict[object, list[float]], mode: str = "max", **about: object) -> Search:
    runs = [(value, seed, s) for value, found in scores.items() for seed, s in enumerate(found)]
    trials = [
        make_trial(i, s, params={"batch_size": value, "seed": seed})
        for i, (value, seed, s) in enumerate(runs)
    ]
    return make_search(*trials, mode=mode, compare=("batch_size",), **about)


ALIKE = {16: [0.86, 0.88, 0.87], 32: [0.87, 0.86, 0.885], 64: [0.88, 0.865, 0.872]}


APART = {**ALIKE, 512: [0.50, 0.51, 0.505]}


BATCHES = {16: 86.78, 32: 87.11, 64: 87.56, 512: 85.14}


def entries(values: dict[int, float], metric: str = "test accuracy, %") -> tuple[Any, ...]:
    return tuple(
        {
            "setting": f"{size}",
            "value": v,
            "metric": metric,
            "note": "",
            "of": {"batch_size": size},
        }
        for size, v in values.items()
    )


def with_published(scores: Any, published: tuple[Any, ...], **tags: str) -> Search:
    return dataclasses.replace(repeated(scores, tags=tags), published=published)


def cells(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables of a text by their first cells."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in rows}
