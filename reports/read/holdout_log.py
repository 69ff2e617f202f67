"""The record of openings of the sealed test set: one tag of the search's run for every opening.

One tag each, since MLflow silently truncates a long one, and since of two reports that add to
the same tag at the same time one would be lost.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from reports.read.records import Tracker, TrackerError, list_same_data
from reports.records import Search, TrialRecord
from reports.write.safe import escape_markdown
from reports.write.tables import join_words
from trainables.errors import UserError

Opening = Mapping[str, Any]

PREFIX = "test_opening."
KINDS = ("trial", "reruns_of", "arms", "ensemble")
"""Keys that say what an opening was for."""
BY_HAND = "by hand"
"""The name of an ensemble whose members the user listed: no report has chosen it."""
LISTED = 20  # members that an entry lists
NAMED = 8  # members that a sentence names


def build_entry(model: TrialRecord) -> Opening:
    """Return the entry of an opening for one run."""
    if model.of is None:
        return {"trial": model.number, "rerun": None}
    return {"trial": model.of, "rerun": model.number}


def find_kind(entry: Opening) -> str:
    """Return which of KINDS an entry is of; empty for an unknown one."""
    return next((word for word in KINDS if word in entry), "")


def find_winner(entry: Opening) -> int | None:
    """Return the trial whose configuration was the winner of an opening; None for others."""
    compared = entry.get("reruns_of")
    winner = compared[0] if isinstance(compared, list) and compared else entry.get("trial")
    return winner if isinstance(winner, int) else None


def find_opening(openings: Sequence[Opening], entry: Opening) -> Opening | None:
    """Return the opening on record that was for the same as this entry."""
    wanted = {key: value for key, value in _shorten(entry).items() if key != "again"}
    found = (o for o in openings if wanted == {key: o.get(key) for key in wanted})
    return next(found, None)


def add_opening(tracker: Tracker, search: Search, entry: Opening) -> None:
    """Record that the test set was opened; raises UserError where that fails."""
    _record(tracker, search.run_id, search.name, entry)


def add_outside_opening(tracker: Tracker, fingerprint: str, entry: Opening) -> str:
    """Record that a model of no search, or of one of other data, was scored on a test set.

    The record is with the newest search of these data, whose name is returned: every report on
    them counts it. Returns an empty text where the server has no search of them.
    """
    runs = list_same_data(tracker, fingerprint)
    if not runs:
        return ""
    newest = max(runs, key=lambda run: int(run.info.start_time))
    name = str(newest.info.run_name)
    _record(tracker, newest.info.run_id, name, entry)
    return name


def _record(tracker: Tracker, run_id: str, name: str, entry: Opening) -> None:
    now = datetime.now(UTC)
    known = {key: value for key, value in _shorten(entry).items() if value is not None}
    text = json.dumps({"time": now.isoformat(timespec="seconds"), **known})
    tag = f"{PREFIX}{now:%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}"
    try:
        tracker.set_tag(run_id, tag, text)
    except TrackerError as error:
        raise UserError(
            f"The opening of the test set cannot be recorded on {name!r}: {error}\n"
            "A report shows no test score that is not on record: make the server writable."
        ) from error


def read_openings(tracker: Tracker, search: Search) -> tuple[Opening, ...]:
    """Return all openings in the order of their times, as the server has them now."""
    return _parse_openings(search.name, tracker.get_run(search.run_id))


def read_other_openings(tracker: Tracker, search: Search) -> dict[str, tuple[Opening, ...]]:
    """Return the openings by other searches of the same data, by the names of the searches.

    The seal is that of the data: a second search of them finds the test set used. Two searches
    of one name are told apart by their runs.
    """
    found: dict[str, tuple[Opening, ...]] = {}
    fingerprint = search.tags.get("data_fingerprint", "")
    for run in list_same_data(tracker, fingerprint, but=search.run_id):
        name = str(run.info.run_name)
        if openings := _parse_openings(name, run):
            deleted = " (deleted)" if run.info.lifecycle_stage == "deleted" else ""
            label = f"{name}{deleted}"
            found[label if label not in found else f"{label} ({run.info.run_id})"] = openings
    return found


def _parse_openings(name: str, run: Any) -> tuple[Opening, ...]:
    tags = run.data.tags
    ours = sorted(tag for tag in tags if tag.startswith(PREFIX))
    return tuple(_parse_opening(name, run.info.run_id, tag, tags[tag]) for tag in ours)


def _parse_opening(name: str, run_id: str, tag: str, text: str) -> Opening:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(
            f"The tag `{tag}` of run {name!r} ({run_id}) is damaged: "
            f"{text[:200]!r}\nCorrect it, so that the record of test openings stays complete."
        )
    return found


def _shorten(entry: Opening) -> dict[str, Any]:
    # Of a long list the first members, their number, and a digest that identifies it.
    short = dict(entry)
    for key in ("members", "runs"):
        listed = entry.get(key)
        if listed is not None and len(listed) > LISTED:
            whole = json.dumps(listed, sort_keys=True).encode()
            first = list(listed)[:LISTED]
            short[key] = {m: listed[m] for m in first} if isinstance(listed, Mapping) else first
            short["count"] = len(listed)
            short["digest"] = hashlib.sha256(whole).hexdigest()[:16]
    return short


def describe_openings(
    openings: Sequence[Opening], others: Mapping[str, Sequence[Opening]] | None = None
) -> str:
    """Return how often, when and for what the test set was opened.

    `others` are the openings by other searches of the same data (`read_other_openings`).
    """
    text = "The test set of this search has not been opened."
    if openings:
        each = "; ".join(_describe_opening(opening) for opening in openings)
        again = sum(bool(opening.get("again")) for opening in openings)
        by_option = f" Of these, {again} by `--open-test-again`." if again else ""
        times = _count_times(len(openings))
        text = f"The test set of this search was opened {times}: {each}.{by_option}"
    if not others:
        return text
    counts = [f"{escape_markdown(name)} ({len(found)})" for name, found in others.items()]
    more = sum(map(len, others.values()))
    return (
        f"{text} **Other searches of the same data have opened it {_count_times(more)}**: "
        f"{join_words(counts)}; with this search {_count_times(more + len(openings))} in all. "
        "Choosing between searches by their test results would turn the test set into a "
        "validation set."
    )


def _count_times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def has_winner_changed(openings: Sequence[Opening]) -> bool:
    """Return whether the test set was opened for one winner and later for another."""
    return len({find_winner(o) for o in openings} - {None}) > 1


def _describe_opening(opening: Opening) -> str:
    time = opening.get("time")
    if "reruns_of" in opening:
        runs = opening.get("count", len(opening.get("runs", ())))
        return f"for {runs} re-runs of {_name_trials(opening)} at {time}"
    if "arms" in opening:
        runs = opening.get("count", len(opening.get("runs", ())))
        return f"for {runs} re-runs of the best trials of {len(opening['arms'])} arms at {time}"
    if "ensemble" in opening:
        members = list(opening.get("members", ()))
        more = opening.get("count", len(members)) - NAMED
        names = (
            ", ".join(members[:NAMED]) + f" and {more} more" if more > 0 else join_words(members)
        )
        return f'for the ensemble "{opening["ensemble"]}" of {names} at {time}'
    counts = f" ({opening['correct']} of {opening.get('n')} right)" if "correct" in opening else ""
    return f"for {describe_model(opening)} at {time}{counts}"


def describe_model(opening: Opening) -> str:
    """Return what an opening was for: `trial 3`, `re-run 1 of trial 3`, `the re-runs of …`.

    `model` names a model that is no run of this search.
    """
    if "reruns_of" in opening:
        return f"the re-runs of {_name_trials(opening)}"
    if "model" in opening:
        return escape_markdown(str(opening["model"]))
    again = f"re-run {opening['rerun']} of " if opening.get("rerun") is not None else ""
    return f"{again}trial {opening['trial']}"


def _name_trials(opening: Opening) -> str:
    of = opening["reruns_of"]
    return join_words([f"trial {n}" for n in (of if isinstance(of, list) else [of])])
