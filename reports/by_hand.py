"""An ensemble whose members are named by hand: its average or vote, beside its best member."""

from collections.abc import Sequence

from reports.blends import equal, everyone, mixed
from reports.judged import (
    Judged,
    cost_table,
    fitted,
    gain_text,
    members_text,
    opening,
    quality_table,
)
from reports.library import Library, library
from reports.openings import BY_HAND, read_openings, recorded
from reports.predictions import Predicted, read_examples, read_predictions
from reports.records import Tracker
from reports.search import ReportError, Search, TrialRecord
from reports.statistics import finite, ranked
from reports.tables import count_text
from reports.winner import open_predictions

PREFIX = 6  # letters of a run id that may stand for it


def by_hand(
    tracker: Tracker, search: Search, ids: Sequence[str], split: str, again: bool = False
) -> str:
    """The text for these members on a split; the test set needs `again`, unless on record.

    Raises ReportError for unknown members, members without predictions, and a sealed test set.
    """
    runs = members(search, ids)
    temperatures: list[float | None] = [None, None]
    if split == "validation":
        models = _read(tracker, search, runs, split)
    else:
        known = _read(tracker, search, runs, "validation")
        temperatures = [fitted(judged) for judged in _judged(known)]
        models = (
            _open(tracker, search, _judged(known)[-1], again)
            if split == "test"
            else _read(tracker, search, runs, split)
        )
    alone, ours = _judged(models)
    parts = [
        f"{count_text(len(runs), 'member')} of {search.name} on {split}, "
        f"{count_text(len(models.targets), 'example')}, "
        f"{'by vote' if models.votes else 'averaged'}: {members_text(ours)}.",
        cost_table([alone, ours], alone),
    ]
    if split != "validation" and not models.votes:
        parts += [
            "Before and after scaling by a temperature fitted on validation:",
            quality_table([alone, ours], temperatures),
        ]
    return "\n\n".join([*parts, gain_text(ours, alone)])


def members(search: Search, ids: Sequence[str]) -> list[TrialRecord]:
    """The runs meant by trial numbers or run ids, the best on validation first."""
    found = [_member(search, name) for name in dict.fromkeys(ids)]
    if len(set(found)) != len(found) or len(found) < 2:
        raise ReportError(
            f"{len(set(found))} member named by {' '.join(ids)}: an ensemble takes two or more "
            "different ones.\nName them with --members ID ID …"
        )
    unscored = [run.name for run in found if not finite(run.metrics.get("score"))]
    if unscored:
        raise ReportError(f"No validation score: {', '.join(unscored)}.\nLeave them out.")
    return ranked(found, lambda run: run.metrics["score"], search.mode)


def _member(search: Search, name: str) -> TrialRecord:
    runs = [*search.trials, *search.reruns]  # where numbers meet, the trial is meant
    for run in runs:
        if name in (str(run.number), run.run_id):
            return run
    near = [run for run in runs if len(name) >= PREFIX and run.run_id.startswith(name)]
    if len(near) == 1:
        return near[0]
    raise ReportError(
        f"{search.name!r} has no trial and no run {name!r}.\n"
        f"It has {count_text(len(search.trials), 'trial')} from 0 on; run ids are in MLflow."
    )


def _judged(models: Library) -> tuple[Judged, Judged]:
    blend, first = everyone(models.outputs, models.targets), models.part([0])
    alone = Judged(f"best member ({models.runs[0].label})", equal(1), first, models.outputs[0])
    return alone, Judged(BY_HAND, blend, models, mixed(blend, models.outputs))


def _read(tracker: Tracker, search: Search, runs: Sequence[TrialRecord], split: str) -> Library:
    examples = read_examples(tracker, search, split)
    if examples is None:
        raise ReportError(f"{search.name!r} has no examples of the split {split!r} on record.")
    return _whole(runs, read_predictions(tracker, search, runs, examples), split)


def _open(tracker: Tracker, search: Search, judged: Judged, again: bool) -> Library:
    openings, entry = read_openings(tracker, search), opening(judged)
    if not recorded(openings, entry):
        if not again:
            raise ReportError(
                f"The test set of {search.name!r} is opened by its report, for what validation "
                f"picked ({count_text(len(openings), 'opening')} on record).\nTo open it for "
                "these members as well, which is counted and reported, add --open-test-again."
            )
        entry["again"] = True
    found = open_predictions(tracker, search, judged.runs, entry)
    return _whole(judged.runs, found, "test")


def _whole(runs: Sequence[TrialRecord], found: Predicted | None, split: str) -> Library:
    has = set(found.runs) if found else set()
    if found is None or len(has) < len(runs):
        without = ", ".join(run.name for run in runs if run not in has)
        raise ReportError(f"Not all have usable {split} predictions on record: {without}.")
    return library(found)
