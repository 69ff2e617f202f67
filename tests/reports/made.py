"""Searches made up in memory, for whatever needs no server."""

from typing import Any

from reports.search import Search, TrialRecord


def trial(number: int, score: float | None = 0.9, **about: Any) -> TrialRecord:
    """A trial, complete unless said otherwise; `params` may hold any values."""
    metrics = {} if score is None else {"score": score}
    return TrialRecord(
        run_id=f"run{number}",
        name=f"made-{number:03d}",
        number=number,
        outcome=about.get("outcome", "complete"),
        params={name: str(value) for name, value in about.get("params", {}).items()},
        metrics={**metrics, **about.get("metrics", {})},
        reason=about.get("reason"),
        curves=about.get("curves", {}),
        tags=about.get("tags", {}),
        reports=about.get("reports", 9),
    )


def search(*trials: TrialRecord, mode: str = "max", **about: Any) -> Search:
    """A search of accuracy with 9 reports per trial."""
    return Search(
        run_id="parent",
        name="made",
        space="made",
        metric=about.get("metric", "validation_accuracy"),
        mode=mode,
        tags={"reports": "9", **about.get("tags", {})},
        metrics=about.get("metrics", {}),
        trials=trials,
        compare=about.get("compare", ()),
    )
