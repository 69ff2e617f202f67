"""The sealed test set: the winner is picked on validation, and only then is it opened."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reports.records import Tracker, fetch, write_openings
from reports.search import ReportError, Search, TrialRecord
from reports.statistics import Proportion, count_correct, finite, ranked, wilson


@dataclass(frozen=True)
class Choice:
    """Candidates ranked on validation, the winner first."""

    candidates: tuple[TrialRecord, ...]
    only_complete: bool  # False: no trial was complete, so all with a score are candidates

    @property
    def winner(self) -> TrialRecord:
        return self.candidates[0]


@dataclass(frozen=True)
class Opened:
    """What opening the winner's test predictions showed, and all openings of this search."""

    accuracy: Proportion | None
    openings: tuple[Mapping[str, Any], ...]
    missing: str = ""  # why there is no accuracy


def choose(search: Search) -> Choice | None:
    """Complete trials by their validation score; every scored trial if none is complete."""
    scored = [trial for trial in search.trials if finite(trial.metrics.get("score"))]
    complete = [trial for trial in scored if trial.outcome == "complete"]
    pool = ranked(complete or scored, lambda trial: trial.metrics["score"], search.mode)
    return Choice(tuple(pool), bool(complete)) if pool else None


def data_sizes(tracker: Tracker, search: Search) -> dict[str, int]:
    """Number of examples of the splits whose ids the search has stored; opens no prediction."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for split in ("validation", "test"):
            path = fetch(tracker, search.run_id, f"data/{split}.parquet", Path(folder))
            if path is not None:
                sizes[split] = _read(path, f"data/{split}.parquet", search.name).num_rows
    return sizes


def open_test(tracker: Tracker, search: Search, winner: TrialRecord) -> Opened:
    """The winner's test accuracy, from the record where it was opened before.

    Raises ReportError where predictions and examples do not belong together, or where the
    opening cannot be put on record.
    """
    for opening in search.openings:
        if opening.get("trial") == winner.number:
            return Opened(wilson(int(opening["correct"]), int(opening["n"])), search.openings)
    with tempfile.TemporaryDirectory() as folder:
        data = fetch(tracker, search.run_id, "data/test.parquet", Path(folder))
        predicted = fetch(tracker, winner.run_id, "predictions/test.parquet", Path(folder))
        if data is None or predicted is None:
            return Opened(None, search.openings, "no test predictions are stored for it")
        truth = _read(data, "data/test.parquet", search.name)
        guesses = _read(predicted, "predictions/test.parquet", winner.name)
    classes = [f"p{i}" for i in range(guesses.num_columns)]
    classes = [name for name in classes if name in guesses.column_names]
    if not classes or "target" not in truth.column_names:
        return Opened(None, search.openings, "its predictions are not class probabilities")
    try:
        correct = count_correct(
            guesses["id"].to_numpy(),
            np.column_stack([guesses[name].to_numpy() for name in classes]),
            truth["id"].to_numpy(),
            truth["target"].to_numpy(),
        )
        accuracy = wilson(correct, truth.num_rows)
    except (KeyError, ValueError) as error:
        raise ReportError(
            f"The test predictions of run {winner.name!r} ({winner.run_id}) cannot be judged: "
            f"{error}\nThey must hold the ids of data/test.parquet of the search {search.name!r}."
        ) from error
    openings = (*search.openings, _entry(winner, accuracy))
    write_openings(tracker, search, openings)
    return Opened(accuracy, openings)


def _entry(winner: TrialRecord, accuracy: Proportion) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trial": winner.number,
        "accuracy": accuracy.value,
        "n": accuracy.n,
        "correct": accuracy.correct,
    }


def _read(path: Path, artifact: str, run: str) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ReportError(
            f"The artifact {artifact} of run {run!r} is no readable Parquet file: {error}"
        ) from error


def openings_text(openings: Sequence[Mapping[str, Any]]) -> str:
    """How often, when and for which trials the test set was opened, in one sentence."""
    if not openings:
        return "The test set of this search has not been opened."
    times = {1: "once", 2: "twice"}.get(len(openings), f"{len(openings)} times")
    each = "; ".join(
        f"for trial {o.get('trial')} at {o.get('time')} ({o.get('correct')} of {o.get('n')} right)"
        for o in openings
    )
    return f"The test set of this search was opened {times}: {each}."
