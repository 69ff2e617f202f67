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

from reports.read.records import Tracker, TrackerError
from reports.records import Search, TrialRecord
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


def find_opening(openings: Sequence[Opening], entry: Opening) -> Opening | None:
    """Return the opening on record that was for the same as this entry."""
    wanted = {key: value for key, value in _shorten(entry).items() if key != "again"}
    found = (o for o in openings if wanted == {key: o.get(key) for key in wanted})
    return next(found, None)


def add_opening(tracker: Tracker, search: Search, entry: Opening) -> None:
    """Record that the test set was opened; raises UserError where that fails."""
    now = datetime.now(UTC)
    known = {key: value for key, value in _shorten(entry).items() if value is not None}
    text = json.dumps({"time": now.isoformat(timespec="seconds"), **known})
    tag = f"{PREFIX}{now:%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}"
    try:
        tracker.set_tag(search.run_id, tag, text)
    except TrackerError as error:
        raise UserError(
            f"The opening of the test set cannot be recorded on {search.name!r}: {error}\n"
            "A report shows no test score that is not on record: make the server writable."
        ) from error


def read_openings(tracker: Tracker, search: Search) -> tuple[Opening, ...]:
    """Return all openings in the order of their times, as the server has them now."""
    tags = tracker.get_run(search.run_id).data.tags
    ours = sorted(tag for tag in tags if tag.startswith(PREFIX))
    return tuple(_parse_opening(search, tag, tags[tag]) for tag in ours)


def _parse_opening(search: Search, tag: str, text: str) -> Opening:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(
            f"The tag `{tag}` of run {search.name!r} ({search.run_id}) is damaged: "
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


def describe_openings(openings: Sequence[Opening]) -> str:
    """Return one sentence on how often, when and for what the test set was opened."""
    if not openings:
        return "The test set of this search has not been opened."
    times = {1: "once", 2: "twice"}.get(len(openings), f"{len(openings)} times")
    each = "; ".join(_describe_opening(opening) for opening in openings)
    again = sum(bool(opening.get("again")) for opening in openings)
    by_option = f" Of these, {again} by `--open-test-again`." if again else ""
    return f"The test set of this search was opened {times}: {each}.{by_option}"


def has_winner_changed(openings: Sequence[Opening]) -> bool:
    """Return whether the test set was opened for one winner and later for another."""
    return len({(o["trial"], o.get("rerun")) for o in openings if "trial" in o}) > 1


def _describe_opening(opening: Opening) -> str:
    time = opening.get("time")
    if "reruns_of" in opening:
        runs = opening.get("count", len(opening.get("runs", ())))
        return f"for {runs} re-runs of trial {opening['reruns_of']} at {time}"
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
    counts = f"({opening.get('correct')} of {opening.get('n')} right)"
    return f"for {describe_model(opening)} at {time} {counts}"


def describe_model(opening: Opening) -> str:
    """Return which run an opening was for: `trial 3`, or `re-run 1 of trial 3`."""
    again = f"re-run {opening['rerun']} of " if opening.get("rerun") is not None else ""
    return f"{again}trial {opening['trial']}"
