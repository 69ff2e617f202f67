"""Ensembles of trials from their stored predictions: picked on validation, tested once."""

from collections.abc import Sequence

from reports.chapters.ensembles.evaluation import (
    Judged,
    cost_table,
    fitted,
    gain_text,
    members_text,
    on_other,
    opening,
    quality_table,
    standing,
)
from reports.numbers.blends import (
    AVERAGES,
    VOTES,
    equal,
    everyone,
    halves,
    mixed,
    out_of_fold,
    single,
)
from reports.read.ensemble_members import Library, library, read_library
from reports.read.opened_test import OpenedTest
from reports.read.predictions import read_examples
from reports.read.records import Tracker
from reports.read.winner import choose, confirmed
from reports.records import Search, TrialRecord
from reports.write.tables import count_text, joined

HOW = (
    "Every ensemble was fitted on one half of the validation set and judged on the other, and the "
    "other way round; the single model was picked likewise. Members and weights are those fitted "
    "on the whole of it. In brackets 95 % intervals (Wilson); NLL is the negative log-likelihood "
    "in nats, ECE the expected calibration error (15 bins)."
)


def section(tracker: Tracker, search: Search, test: OpenedTest) -> str | None:
    """Ensembles of the trials, judged on validation, and the picked one on the test set.

    None where no trial has a score. With `--open-test-again` all are opened.
    """
    choice = choose(search)
    if choice is None:
        return None
    examples = read_examples(tracker, search, "validation")
    candidates = [choice.model, *choice.candidates[1:]]
    models = examples and read_library(tracker, search, candidates, examples)
    if examples is None or not models or len(models.runs) < 2 or len(examples) < 4:
        found = len(models.runs) if models else 0
        return (
            "There is nothing to make an ensemble of: that takes two trials with predictions of "
            f"at least 4 validation examples on record, and here {found} have some."
        )
    if models.runs[0] is not choice.model:
        return f"No validation predictions are stored of the winner, {choice.model.title}."
    ours = _ensembles(models) + _seeds(tracker, search, choice.winner.number, models)
    folds = halves(models.targets, stratified=not models.votes)
    picked_alone = out_of_fold(single, models.outputs, models.targets, folds)
    # The score is that of what validation picks, which a confirmation may have passed over.
    first = single(models.outputs, models.targets).members[0]
    alone = Judged("single best", equal(1), models.part([first]), picked_alone)
    best = max(ours, key=standing)
    several = [judged for judged in ours if len(judged.runs) > 1]
    others = [judged for judged in several if judged is not best]
    parts = [
        f"Made of {count_text(len(models.runs), 'trial')} with stored predictions of "
        f"{count_text(len(examples), 'validation example')}"
        f"{', by vote over their answers' if models.votes else ''}.",
        cost_table([alone, *several], alone),
        HOW,
        "\n".join(f"- {judged.name}: {members_text(judged)}" for judged in (alone, *several)),
        _of_one([judged for judged in ours if judged not in several]),
        _pick(best, alone),
    ]
    picked = [j for j in (best, *(o for o in others if test.again)) if j in several]
    if picked:
        parts += _on_test(models.part([0]), picked, test)
    return "\n\n".join(part for part in parts if part)


def best_of(tracker: Tracker, search: Search, runs: Sequence[TrialRecord]) -> Judged | None:
    """The ensemble of these runs, best first, that does best on validation; None of under two."""
    examples = read_examples(tracker, search, "validation")
    models = examples and read_library(tracker, search, runs, examples)
    if not models or models.votes or len(models.runs) < 2 or len(models.targets) < 4:
        return None
    return max(_ensembles(models), key=standing)


def _ensembles(models: Library) -> list[Judged]:
    recipes = VOTES if models.votes else AVERAGES
    outputs, targets = models.outputs, models.targets
    folds = halves(targets, stratified=not models.votes)
    return [
        Judged(
            name,
            recipe(outputs, targets),
            models,
            out_of_fold(recipe, outputs, targets, folds),
        )
        for name, recipe in recipes.items()
    ]


def _seeds(tracker: Tracker, search: Search, winner: int, models: Library) -> list[Judged]:
    examples = read_examples(tracker, search, "validation")
    runs = confirmed(search).get(winner, ())
    found = examples and read_library(tracker, search, runs, examples)
    if not found or len(found.runs) < 2:
        return []
    blend = everyone(found.outputs, found.targets)
    name = f"{len(found.runs)} seeds of trial {winner}"
    return [Judged(name, blend, found, mixed(blend, found.outputs))]


def _of_one(left_out: Sequence[Judged]) -> str:
    if not left_out:
        return ""
    names = joined([f'"{judged.name}"' for judged in left_out])
    return f"Left out, since one model alone is no ensemble: {names}, which took no second member."


def _pick(best: Judged, alone: Judged) -> str:
    if len(best.runs) == 1:
        return (
            f'Picked on validation: "{best.name}", which is **the single model alone**: no second '
            "one made it better, and there is no ensemble to open the test set for."
        )
    text = f'Picked on validation: "{best.name}".'
    if standing(best) <= standing(alone):
        text += " **On validation it is no better than the single model.**"
    return text


def _on_test(winners: Library, picked: Sequence[Judged], test: OpenedTest) -> list[str]:
    """Quality on the test set of the winner and of what was picked, opened on record."""
    winner = winners.runs[0]
    alone = Judged(f"the winner, {winner.title}", equal(1), winners, winners.outputs[0])
    found = test.read_winner_predictions()
    if found is None:
        return [f"No test of {winner.title}: {test.missing or 'nothing is stored'}."]
    one = library(found)
    tested, temperatures = [Judged(alone.name, equal(1), one, one.outputs[0])], [fitted(alone)]
    parts = []
    for place, judged in enumerate(picked):
        entry = test.mark(opening(judged), picked=not place)
        found = test.open_predictions(judged.runs, entry)
        if found is None and test.is_closed(entry):
            parts.append(
                f'The test set is not opened for "{judged.name}": '
                f"{test.describe_rejection(entry, 'that as well')}."
            )
            continue
        if found is None:
            parts.append(f'Not all members of "{judged.name}" have test predictions.')
            continue
        tested.append(on_other(judged, library(found)))
        temperatures.append(fitted(judged))
    table = quality_table(tested, temperatures)
    lead = (
        f"On {count_text(len(one.targets), 'test example')} that had no part in this, before and "
        "after scaling by a temperature fitted on validation:"
    )
    return [lead, table, *parts, *(gain_text(judged, tested[0]) for judged in tested[1:])]
