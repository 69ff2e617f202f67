"""Ensembles of trials from their stored predictions: selected on validation, tested once."""

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
    Array,
    Recipe,
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
    "Every ensemble was fitted on one half of the validation set and evaluated on the other, and "
    "vice versa (two-fold cross-validation); the single model was selected in the same way. "
    "Members and weights are those fitted on the whole validation set. In brackets 95 % intervals "
    "(Wilson); NLL is the negative log-likelihood in nats, of every model and ensemble at the "
    "temperature fitted on the other half: a softer output alone is no gain."
)

UNCORRECTED = "Each p-value is that of its ensemble alone, not corrected for their number."


def write_section(tracker: Tracker, search: Search, test: OpenedTest) -> str | None:
    """Return ensembles evaluated on validation, and the selected one on the test set.

    None if there is no winner. With `--open-test-again` all ensembles are tested.
    """
    choice = choose_winner(search)
    if choice is None:
        return None
    examples = read_examples(tracker, search, "validation")
    candidates = [choice.model, *choice.candidates[1:]]
    models = examples and read_library(tracker, search, candidates, examples)
    if examples is None or not models or len(models.runs) < 2 or len(examples) < 4:
        return (
            "Not available: an ensemble needs at least 2 trials with stored predictions of at "
            f"least 4 validation examples, and {len(models.runs) if models else 0} have some."
        )
    if models.runs[0] is not choice.model:
        return f"No validation predictions of the winner, {choice.model.title}, are stored."
    ours = evaluate_recipes(models) + _average_seeds(tracker, search, choice.winner.number, models)
    output = _predict(select_single, models)
    # The best single model on validation, which is not always the winner of a confirmation.
    first = select_single(models.outputs, models.targets).members[0]
    single = EvaluatedEnsemble("single best", equal_weights(1), models.select([first]), output)
    best = max(ours, key=score_ensemble)
    several = [ensemble for ensemble in ours if len(ensemble.runs) > 1]
    rows = [single, *several]
    parts = [
        f"Ensembles of {format_count(len(models.runs), 'trial')} with stored predictions of "
        f"{format_count(len(examples), 'validation example')}"
        f"{', by vote over their answers' if models.has_answers else ''}.",
        write_cost_table(rows, single),
        HOW,
        "\n".join(f"- {ensemble.name}: {format_members(ensemble)}" for ensemble in rows),
        _list_single([ensemble for ensemble in ours if len(ensemble.runs) == 1]),
        _describe_selection(best, single),
    ]
    others = [ensemble for ensemble in several if ensemble is not best]
    selected = [e for e in (best, *(others if test.again else ())) if len(e.runs) > 1]
    if selected:
        parts += _evaluate_on_test(models.select([0]), selected, test)
    return "\n\n".join(part for part in parts if part)


def find_best_ensemble(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord]
) -> EvaluatedEnsemble | None:
    """Return the best ensemble on validation of these runs, best first; None below two runs."""
    examples = read_examples(tracker, search, "validation")
    models = examples and read_library(tracker, search, runs, examples)
    if not models or models.has_answers or len(models.runs) < 2 or len(models.targets) < 4:
        return None
    return max(evaluate_recipes(models), key=score_ensemble)


def evaluate_recipes(models: Library) -> list[EvaluatedEnsemble]:
    """Return an ensemble of every recipe, evaluated on validation by two-fold cross-validation."""
    recipes = VOTES if models.has_answers else AVERAGES
    return [
        EvaluatedEnsemble(
            name, recipe(models.outputs, models.targets), models, _predict(recipe, models)
        )
        for name, recipe in recipes.items()
    ]


def _predict(recipe: Recipe, models: Library) -> Array:
    folds = split_halves(models.targets, stratified=not models.has_answers)
    return predict_out_of_fold(
        recipe, models.outputs, models.targets, folds, calibrate=not models.has_answers
    )


def _average_seeds(
    tracker: Tracker, search: Search, winner: int, models: Library
) -> list[EvaluatedEnsemble]:
    examples = read_examples(tracker, search, "validation")
    runs = group_reruns(search).get(winner, ())
    seeds = examples and read_library(tracker, search, runs, examples)
    if not seeds or len(seeds.runs) < 2:
        return []
    blend = average_all(seeds.outputs, seeds.targets)
    name = f"{len(seeds.runs)} seeds of trial {winner}"
    return [EvaluatedEnsemble(name, blend, seeds, _predict(average_all, seeds))]


def _list_single(left_out: Sequence[EvaluatedEnsemble]) -> str:
    if not left_out:
        return ""
    names = join_words([f'"{ensemble.name}"' for ensemble in left_out])
    return f"Not in the table, since they selected only one model: {names}."


def _describe_selection(best: EvaluatedEnsemble, single: EvaluatedEnsemble) -> str:
    if len(best.runs) == 1:
        return (
            f'Selected on validation: "{best.name}", which is **a single model**: a second one '
            "did not improve the fit, so there is no ensemble to evaluate on the test set."
        )
    text = f'Selected on validation: "{best.name}".'
    if score_ensemble(best) <= score_ensemble(single):
        text += " **Its validation score is not higher than that of the single model.**"
    return text


def _evaluate_on_test(
    winners: Library, selected: Sequence[EvaluatedEnsemble], test: OpenedTest
) -> list[str]:
    winner = winners.runs[0]
    name = f"the winner, {winner.title}"
    predictions = test.read_winner_predictions()
    if predictions is None:
        return [f"No test results of {winner.title}: {test.missing or 'nothing is stored'}."]
    on_validation = EvaluatedEnsemble(name, equal_weights(1), winners, winners.outputs[0])
    one = build_library(predictions)
    tested = [EvaluatedEnsemble(name, equal_weights(1), one, one.outputs[0])]
    temperatures = [fit_ensemble_temperature(on_validation)]
    parts = []
    for place, ensemble in enumerate(selected):
        entry = test.mark(describe_opening(ensemble), picked=not place)
        predictions = test.open_predictions(ensemble.runs, entry)
        if predictions is None and test.is_closed(entry):
            parts.append(
                f'The test set is not opened for "{ensemble.name}": '
                f"{test.describe_rejection(entry, 'that as well')}."
            )
            continue
        if predictions is None:
            parts.append(f'Not all members of "{ensemble.name}" have test predictions.')
            continue
        tested.append(evaluate_on(ensemble, build_library(predictions)))
        temperatures.append(fit_ensemble_temperature(ensemble))
    table = write_quality_table(tested, temperatures)
    lead = (
        f"On {format_count(len(one.targets), 'test example')} that were not used before, without "
        "and with temperature scaling fitted on validation:"
    )
    return [
        lead,
        table,
        *parts,
        *(
            describe_gain(other, tested[0], (t, temperatures[0]))
            for other, t in zip(tested[1:], temperatures[1:], strict=True)
        ),
        *([UNCORRECTED] if len(tested) > 2 else []),
    ]
