"""Ensembles of trials from their stored predictions: picked on validation, tested once."""

from collections.abc import Sequence

from reports.chapters.ensembles.evaluation import (
    EvaluatedEnsemble,
    describe_gain,
    describe_opening,
    evaluate_on,
    fit_ensemble_temperature,
    format_members,
    score_ensemble,
    write_cost_table,
    write_quality_table,
)
from reports.numbers.blends import (
    AVERAGES,
    VOTES,
    apply_blend,
    average_all,
    equal_weights,
    predict_out_of_fold,
    select_single,
    split_halves,
)
from reports.read.ensemble_members import Library, build_library, read_library
from reports.read.opened_test import OpenedTest
from reports.read.predictions import read_examples
from reports.read.records import Tracker
from reports.read.winner import choose_winner, group_reruns
from reports.records import Search, TrialRecord
from reports.write.tables import format_count, join_words

HOW = (
    "Every ensemble was fitted on one half of the validation set and judged on the other, and the "
    "other way round; the single model was picked likewise. Members and weights are those fitted "
    "on the whole of it. In brackets 95 % intervals (Wilson); NLL is the negative log-likelihood "
    "in nats, ECE the expected calibration error (15 bins)."
)


def write_section(tracker: Tracker, search: Search, test: OpenedTest) -> str | None:
    """Ensembles of the trials, judged on validation, and the picked one on the test set.

    None where no trial has a score. With `--open-test-again` all are opened.
    """
    choice = choose_winner(search)
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
    folds = split_halves(models.targets, stratified=not models.has_answers)
    picked_alone = predict_out_of_fold(select_single, models.outputs, models.targets, folds)
    # The score is that of what validation picks, which a confirmation may have passed over.
    first = select_single(models.outputs, models.targets).members[0]
    alone = EvaluatedEnsemble("single best", equal_weights(1), models.part([first]), picked_alone)
    best = max(ours, key=score_ensemble)
    several = [judged for judged in ours if len(judged.runs) > 1]
    others = [judged for judged in several if judged is not best]
    parts = [
        f"Made of {format_count(len(models.runs), 'trial')} with stored predictions of "
        f"{format_count(len(examples), 'validation example')}"
        f"{', by vote over their answers' if models.has_answers else ''}.",
        write_cost_table([alone, *several], alone),
        HOW,
        "\n".join(f"- {judged.name}: {format_members(judged)}" for judged in (alone, *several)),
        _of_one([judged for judged in ours if judged not in several]),
        _pick(best, alone),
    ]
    picked = [j for j in (best, *(o for o in others if test.again)) if j in several]
    if picked:
        parts += _on_test(models.part([0]), picked, test)
    return "\n\n".join(part for part in parts if part)


def find_best_ensemble(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord]
) -> EvaluatedEnsemble | None:
    """The ensemble of these runs, best first, that does best on validation; None of under two."""
    examples = read_examples(tracker, search, "validation")
    models = examples and read_library(tracker, search, runs, examples)
    if not models or models.has_answers or len(models.runs) < 2 or len(models.targets) < 4:
        return None
    return max(_ensembles(models), key=score_ensemble)


def _ensembles(models: Library) -> list[EvaluatedEnsemble]:
    recipes = VOTES if models.has_answers else AVERAGES
    outputs, targets = models.outputs, models.targets
    folds = split_halves(targets, stratified=not models.has_answers)
    return [
        EvaluatedEnsemble(
            name,
            recipe(outputs, targets),
            models,
            predict_out_of_fold(recipe, outputs, targets, folds),
        )
        for name, recipe in recipes.items()
    ]


def _seeds(
    tracker: Tracker, search: Search, winner: int, models: Library
) -> list[EvaluatedEnsemble]:
    examples = read_examples(tracker, search, "validation")
    runs = group_reruns(search).get(winner, ())
    found = examples and read_library(tracker, search, runs, examples)
    if not found or len(found.runs) < 2:
        return []
    blend = average_all(found.outputs, found.targets)
    name = f"{len(found.runs)} seeds of trial {winner}"
    return [EvaluatedEnsemble(name, blend, found, apply_blend(blend, found.outputs))]


def _of_one(left_out: Sequence[EvaluatedEnsemble]) -> str:
    if not left_out:
        return ""
    names = join_words([f'"{judged.name}"' for judged in left_out])
    return f"Left out, since one model alone is no ensemble: {names}, which took no second member."


def _pick(best: EvaluatedEnsemble, alone: EvaluatedEnsemble) -> str:
    if len(best.runs) == 1:
        return (
            f'Picked on validation: "{best.name}", which is **the single model alone**: no second '
            "one made it better, and there is no ensemble to open the test set for."
        )
    text = f'Picked on validation: "{best.name}".'
    if score_ensemble(best) <= score_ensemble(alone):
        text += " **On validation it is no better than the single model.**"
    return text


def _on_test(winners: Library, picked: Sequence[EvaluatedEnsemble], test: OpenedTest) -> list[str]:
    """Quality on the test set of the winner and of what was picked, opened on record."""
    winner = winners.runs[0]
    alone = EvaluatedEnsemble(
        f"the winner, {winner.title}", equal_weights(1), winners, winners.outputs[0]
    )
    found = test.read_winner_predictions()
    if found is None:
        return [f"No test of {winner.title}: {test.missing or 'nothing is stored'}."]
    one = build_library(found)
    tested, temperatures = (
        [EvaluatedEnsemble(alone.name, equal_weights(1), one, one.outputs[0])],
        [fit_ensemble_temperature(alone)],
    )
    parts = []
    for place, judged in enumerate(picked):
        entry = test.mark(describe_opening(judged), picked=not place)
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
        tested.append(evaluate_on(judged, build_library(found)))
        temperatures.append(fit_ensemble_temperature(judged))
    table = write_quality_table(tested, temperatures)
    lead = (
        f"On {format_count(len(one.targets), 'test example')} that had no part in this, before and "
        "after scaling by a temperature fitted on validation:"
    )
    return [lead, table, *parts, *(describe_gain(judged, tested[0]) for judged in tested[1:])]
