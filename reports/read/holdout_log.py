"""When the sealed test set was opened, and for what: one tag of the search for every opening.

One tag each, since MLflow silently cuts a long one, and since of two reports that add to the same
tag at once one would be lost.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from reports.read.records import Tracker, TrackerError
from reports.records import ReportError, Search, TrialRecord
from reports.write.tables import joined

Opening = Mapping[str, Any]

PREFIX = "test_opening."
KINDS = ("trial", "reruns_of", "ensemble")  # the key that says what an opening was for
BY_HAND = "by hand"  # the ensemble that a user named: no report's choice
LISTED = 20  # members that an entry lists
NAMED = 8  # members that a sentence names


@dataclass(frozen=True)
class Seal:
    """What a report finds opened, by KINDS, and whether it may open more (`--open-test-again`).

    `unfinished` says why a search whose winner may still change has nothing opened.
    """

    broken: frozenset[str] = frozenset()
    again: bool = False
    unfinished: str = ""

    def closed(self, entry: Opening) -> bool:
        """Whether this must not be opened, unless it is on record."""
        return bool(self.unfinished) or (kind(entry) in self.broken and not self.again)

    def refusal(self, entry: Opening, what: str) -> str:
        """Why this is closed for `what`, and what would open it."""
        if kind(entry) in self.broken:
            why, flag = "the test set was opened before for others", "--open-test-again"
        else:
            why, flag = f"the search is unfinished ({self.unfinished})", "--open-test"
        return f"{why}; `{flag}` opens it for {what}, and that is counted"

    def marked(self, entry: Opening, picked: bool = True) -> Opening:
        """The entry, with a mark where the flag alone opens it."""
        asked = self.again and (kind(entry) in self.broken or not picked)
        return {**entry, "again": True} if asked else entry


INTACT = Seal()


def read_seal(
    tracker: Tracker, search: Search, model: TrialRecord, again: bool, early: bool = False
) -> Seal:
    """What was opened before for others; everything is closed where that was another winner.

    So it is in an unfinished search, unless asked for: `early` (`--open-test`), or `again`.
    """
    before = [o for o in read_openings(tracker, search) if o.get("ensemble") != BY_HAND]
    broken = {kind(opening) for opening in before}
    changed = "trial" in broken and not recorded(before, opened_as(model))
    closed = frozenset(KINDS if changed else broken)
    return Seal(closed, again, "" if again or early else search.unfinished)


def opened_as(model: TrialRecord) -> Opening:
    """How the opening for one model is put on record."""
    if model.of is None:
        return {"trial": model.number, "rerun": None}
    return {"trial": model.of, "rerun": model.number}


def kind(entry: Opening) -> str:
    return next((word for word in KINDS if word in entry), "")


def recorded(openings: Sequence[Opening], entry: Opening) -> Opening | None:
    """The opening on record for the same as this entry."""
    wanted = {key: value for key, value in _short(entry).items() if key != "again"}
    found = (o for o in openings if wanted == {key: o.get(key) for key in wanted})
    return next(found, None)


def add_opening(tracker: Tracker, search: Search, entry: Opening) -> None:
    """Put on record that the test set was opened. Raises ReportError where that cannot be."""
    now = datetime.now(UTC)
    known = {key: value for key, value in _short(entry).items() if value is not None}
    text = json.dumps({"time": now.isoformat(timespec="seconds"), **known})
    tag = f"{PREFIX}{now:%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}"
    try:
        tracker.set_tag(search.run_id, tag, text)
    except TrackerError as error:
        raise ReportError(
            f"That the test set is opened cannot be written down on {search.name!r}: {error}\n"
            "A report does not show a test score that is not on record: make the server writable."
        ) from error


def read_openings(tracker: Tracker, search: Search) -> tuple[Opening, ...]:
    """All openings in the order of their times, as they stand on the server now."""
    tags = tracker.get_run(search.run_id).data.tags
    return tuple(_opening(search, tag, tags[tag]) for tag in sorted(tags) if _ours(tag))


def _ours(tag: str) -> bool:
    return tag.startswith(PREFIX)


def _opening(search: Search, tag: str, text: str) -> Opening:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ReportError(
            f"The tag `{tag}` of run {search.name!r} ({search.run_id}) is damaged: "
            f"{text[:200]!r}\nMend it, so that the record of test openings stays whole."
        )
    return found


def _short(entry: Opening) -> dict[str, Any]:
    # Of a long list the first members, their number, and what tells it from others like it.
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


def openings_text(openings: Sequence[Opening]) -> str:
    """How often, when and for what the test set was opened, in one sentence."""
    if not openings:
        return "The test set of this search has not been opened."
    times = {1: "once", 2: "twice"}.get(len(openings), f"{len(openings)} times")
    each = "; ".join(opening_text(opening) for opening in openings)
    again = sum(bool(opening.get("again")) for opening in openings)
    asked = f" Of these, {again} by `--open-test-again`." if again else ""
    return f"The test set of this search was opened {times}: {each}.{asked}"


def winner_changed(openings: Sequence[Opening]) -> bool:
    """Whether the test set was opened for one winner, and later for another."""
    return len({(o["trial"], o.get("rerun")) for o in openings if "trial" in o}) > 1


def refusal(openings: Sequence[Opening], model: TrialRecord, seal: Seal) -> str:
    """Why the test set is not opened for this model, and what would open it."""
    last = next((o for o in reversed(openings) if "trial" in o), None)
    if last is None:
        return seal.refusal(opened_as(model), model.title)
    return (
        f"the test set was opened before for {_model_text(last)} on {str(last.get('time'))[:10]}; "
        f"`--open-test-again` opens it for {model.title}, and that is counted"
    )


def opening_text(opening: Opening) -> str:
    time = opening.get("time")
    if "reruns_of" in opening:
        runs = opening.get("count", len(opening.get("runs", ())))
        return f"for {runs} re-runs of trial {opening['reruns_of']} at {time}"
    if "ensemble" in opening:
        members = list(opening.get("members", ()))
        more = opening.get("count", len(members)) - NAMED
        names = ", ".join(members[:NAMED]) + f" and {more} more" if more > 0 else joined(members)
        return f'for the ensemble "{opening["ensemble"]}" of {names} at {time}'
    counts = f"({opening.get('correct')} of {opening.get('n')} right)"
    return f"for {_model_text(opening)} at {time} {counts}"


def _model_text(opening: Opening) -> str:
    again = f"re-run {opening['rerun']} of " if opening.get("rerun") is not None else ""
    return f"{again}trial {opening['trial']}"
