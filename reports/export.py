"""`python -m reports export NAME`: register the winner or an ensemble as an MLflow model."""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cluster.storage.redaction import redact_address
from reports.card import write_card
from reports.chapters.ensembles.chapter import find_best_ensemble
from reports.chapters.ensembles.evaluation import fit_ensemble_temperature
from reports.cli import run_action
from reports.packaging import ExportedModel, copy_files, log_model, name_folder, write_description
from reports.read.holdout_log import read_openings
from reports.read.opened_test import find_recorded_accuracy, open_test
from reports.read.predictions import count_examples
from reports.read.records import Tracker, read_search
from reports.read.weights import download_weights
from reports.read.winner import choose_winner, explain_no_winner
from reports.records import Search, TrialRecord
from reports.trained import models
from reports.trained.models import Predictor
from reports.trained.restoring import find_space
from trainables.errors import UserError
from trainables.invocation import format_command
from trainables.terminal import print_text

PORT = 5001
"""Of a served model in the printed commands: `mlflow ui` uses 5000."""


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""

    def export(tracker: Tracker) -> None:
        search = read_search(tracker, options.name)
        what = (
            _ensemble(tracker, search)
            if options.ensemble
            else select_members(search, options.members)
        )
        space = find_space(search, options.space, options.changed_code)
        where, model = register_export(
            tracker, search, what, space, options.register or search.space
        )
        uri = redact_address(tracker.tracking_uri)
        print_text(f"registered: {where}")
        print_text(
            f"use it:     MLFLOW_TRACKING_URI={shlex.quote(uri)} mlflow models serve "
            f"-m {shlex.quote(where)} --env-manager local --port {PORT}"
        )
        print_text(f"inputs:     {describe_inputs(model)}")
        print_text(f"request:    {write_request(model)}")

    return run_action(options, export)


def select_members(search: Search, numbers: Sequence[int] | None) -> ExportedModel:
    """Return the winner, or the trials with these numbers with equal weights."""
    if numbers is None:
        choice = choose_winner(search)
        if choice is None:
            raise UserError(f"{search.name} has no winner to export: {explain_no_winner(search)}.")
        return ExportedModel(((choice.model, 1.0, 1.0),))
    by_number = {trial.number: trial for trial in search.trials}
    unknown = [number for number in numbers if number not in by_number]
    if unknown:
        raise UserError(f"{search.name} has no trials {unknown}; it has 0 to {max(by_number)}.")
    return ExportedModel(tuple((by_number[number], 1.0 / len(numbers), 1.0) for number in numbers))


def _ensemble(tracker: Tracker, search: Search) -> ExportedModel:
    # Fitted to the trials whose weights are stored: others cannot be exported.
    choice = choose_winner(search)
    candidates = [choice.model, *choice.candidates[1:]] if choice else []
    runs = [t for t in candidates if t.tags.get("weights") == "yes"]
    ensemble = find_best_ensemble(tracker, search, runs)
    if ensemble is None:
        raise UserError(f"{search.name} has fewer than two trials with weights and predictions.")
    pairs = zip(ensemble.runs, ensemble.blend.members, strict=True)
    members = [
        (run, float(ensemble.blend.weights[i]), float(ensemble.blend.temperatures[i]))
        for run, i in pairs
    ]
    return ExportedModel(tuple(members), fit_ensemble_temperature(ensemble) or 1.0)


def describe_inputs(model: Predictor) -> str:
    """Return the dtype, shape and range of values of a model's inputs in words, or its columns."""
    example = model.example
    shape = ", ".join(["n", *map(str, example.shape[1:])])
    kind = "texts" if example.dtype == object else str(example.dtype)
    text = f"{kind} of shape ({shape}{',' if example.ndim == 1 else ''})"
    if example.dtype == "uint8":
        return f"{text}, from 0 to 255"
    if example.dtype.kind in "iuf":
        return f"{text}; the example has values from {example.min():.4g} to {example.max():.4g}"
    if model.columns:
        kinds = (f"{name} ({kind})" for name, kind in model.columns.items())
        return f"{text}, the columns {', '.join(kinds)}"
    return text


def write_request(model: Predictor) -> str:
    """Return a command that requests a prediction for one placeholder input."""
    example, one = model.example, "['a text']"
    if example.dtype != object:
        one = f"np.zeros({(1, *example.shape[1:])}, '{example.dtype}').tolist()"
    elif model.columns:
        one = str([["0" if kind == "number" else "a text" for kind in model.columns.values()]])
    return (
        'python -c "import numpy as np, requests; print(requests.post('
        f"'http://127.0.0.1:{PORT}/invocations', json=dict(inputs={one})).text)\""
    )


def register_export(
    tracker: Tracker, search: Search, what: ExportedModel, space: str, name: str
) -> tuple[str, Predictor]:
    """Register the members as one model; return its address `models:/NAME/VERSION` and a member.

    Raises UserError with the names of all members whose weights are not stored.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "members"
        folder.mkdir()
        trials = [trial for trial, _, _ in what.members]
        without = [
            trial.name
            for trial in trials
            if not download_weights(tracker, trial, folder / name_folder(trial))
        ]
        if without:
            raise UserError(
                f"No weights are stored of {', '.join(without)}: a search stores those of its "
                "best trials only.\nLeave them out, or train them again with "
                f"{format_command('train')}."
            )
        predictors = [
            models.restore_model(space, trial.params, folder / name_folder(trial))
            for trial in trials
        ]
        if len(trials) > 1 and np.ndim(predictors[0](predictors[0].example)) == 1:
            raise UserError(
                f"The models of {search.name} predict answers, not probabilities, which an "
                "ensemble would average.\n"
                f"Export one of them: --members {trials[0].number}"
            )
        write_description(folder, space, what, copy_files(predictors, folder))
        text = write_card(
            search,
            [(trial, weight) for trial, weight, _ in what.members],
            count_examples(tracker, search),
            describe_test_result(tracker, search, trials),
            predictors[0].classes,
        )
        (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")
        where = log_model(tracker.tracking_uri, search, predictors[0], folder, name, text)
        return where, predictors[0]


def describe_test_result(tracker: Tracker, search: Search, trials: Sequence[TrialRecord]) -> str:
    """Return one sentence on the test accuracy; the test set is opened for the winner alone."""
    if len(trials) > 1:
        return (
            "For the test accuracy of an ensemble, see "
            f"`{format_command('report')} {shlex.quote(search.space)} --ensemble`."
        )
    model, choice = trials[0], choose_winner(search)
    accuracy = find_recorded_accuracy(read_openings(tracker, search), model)
    missing = "the test set was not opened for it, since validation did not choose it"
    if accuracy is None and choice is not None and model is choice.model:
        test = open_test(tracker, search, choice)
        if (mean := test.confirmed) is not None:
            ends = f", 95 % interval {mean.low:.2%} to {mean.high:.2%}" if mean.is_known else ""
            return (
                f"Test accuracy {mean.value:.2%} (mean of the "
                f"{len(test.reruns[choice.winner.number])} re-runs of its configuration{ends}, "
                f"n = {mean.n}); this model is the one that is best on validation."
            )
        accuracy, missing = test.accuracy, test.missing
    if accuracy is None:
        return f"Its test accuracy is not known: {missing}."
    return (
        f"Test accuracy {accuracy.value:.2%} (95 % interval {accuracy.low:.2%} to "
        f"{accuracy.high:.2%}, n = {accuracy.n}; one run, not confirmed)."
    )
