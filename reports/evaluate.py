"""`python -m reports evaluate NAME`: score a trained model on a split or on other data.

Predictions that a search has stored are read, as a report reads them; the restored model predicts
what is not stored.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.cli import has_server, report_errors, run_action, run_with_tracker
from reports.numbers.scores import score_outputs
from reports.numbers.statistics import Interval
from reports.read.artifacts import PREDICTIONS, has_artifact
from reports.read.folder_log import NAME, add_folder_opening
from reports.read.holdout_log import add_outside_opening
from reports.read.opened_scores import Allowed, count_correct, open_scores
from reports.read.predictions import list_splits, read_examples, read_predictions
from reports.read.records import Tracker
from reports.read.winner import choose_winner
from reports.records import Search, TrialRecord
from reports.trained import models
from reports.trained.agents import play, write_episodes
from reports.trained.restoring import find_run, find_space, restore_run
from reports.trained.scoring import list_missing, name_some, score_model
from reports.write.intervals import format_interval
from reports.write.safe import to_slug
from reports.write.tables import format_count
from trainables.errors import UserError
from trainables.terminal import print_text

EPISODES = 100
NO_INTERVAL = (
    "A score without an interval has too few examples for one (100 are needed, for a loss 400, "
    "for RMSE and R² 2,000, of a text 3,000 characters), or all examples agree."
)


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model by metric, and on what; `notes` are said below them."""

    model: str
    data: str
    split: str
    scores: Mapping[str, Interval]
    notes: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""
    name = options.name
    if (Path(name) / "config.json").is_file() or (os.sep in name and ":" not in name):
        return report_errors(
            options, lambda: print_evaluation(evaluate_folder(Path(name), options), options.json)
        )
    return run_action(
        options, lambda tracker: print_evaluation(evaluate_run(tracker, options), options.json)
    )


def evaluate_run(tracker: Tracker, options: argparse.Namespace) -> Evaluation:
    """Return the evaluation of a run of a search; raises UserError."""
    search, run = find_run(tracker, options.name, options.trial)
    found = Evaluation(
        f"{run.title} of {search.name}", f"the data of {search.name}", options.split or "", {}
    )
    if options.data_dir is None:
        found = dataclasses.replace(found, split=options.split or "validation")
        if is_stored(tracker, search, run, found.split):
            reject_episodes(found.model, options)
            return score_own(tracker, search, run, found, options)
    space = find_space(search, options.space, options.changed_code)
    model = restore_run(tracker, search, run, space)
    if model.environment:
        return play_agent(model, found.model, run.name, options)
    reject_episodes(found.model, options)
    if options.data_dir is None:
        data = models.load_data(space, run.params, search, None)
        return score_own(tracker, search, run, found, options, (model, data))
    data, fingerprint = models.read_data(space, run.params, search, options.data_dir, model=model)
    if fingerprint == search.tags.get("data_fingerprint", ""):
        found = dataclasses.replace(found, split=options.split or "validation")
        return score_own(tracker, search, run, found, options, (model, data))
    found = dataclasses.replace(found, data=str(options.data_dir), split=options.split or "all")
    found = score_restored(found, model, data)
    if found.split in ("test", "all"):
        entry = {"model": found.model, **count_correct(found.scores)}
        name = add_outside_opening(tracker, fingerprint, entry)
        found = add_note(found, _say_outside(name) if name else "")
    return found


def is_stored(tracker: Tracker, search: Search, run: TrialRecord, split: str) -> bool:
    """Return whether the search has stored a run's predictions and the targets of a split."""
    path = f"predictions/{split}.parquet"
    return split in list_splits(tracker, search) and has_artifact(tracker, run, PREDICTIONS, path)


def score_own(
    tracker: Tracker,
    search: Search,
    run: TrialRecord,
    found: Evaluation,
    options: argparse.Namespace,
    restored: tuple[models.Predictor, models.GroundTruth] | None = None,
) -> Evaluation:
    """Return the scores on the data of the search: by stored predictions, or `restored`."""
    if found.split == "all":
        raise UserError(
            f"--split all contains the sealed test set of {search.name}: name train, validation "
            "or test."
        )
    is_text = any(metric.endswith("_bits") for metric in run.reported)  # per character
    if found.split == "test":
        allowed = Allowed(options.open_test_again, options.open_test)

        def compute() -> Mapping[str, Interval]:
            assert restored is not None
            return score_model(*restored, "test")

        scores, sentence = open_scores(
            tracker, search, run, allowed, is_text=is_text, compute=compute
        )
        found = add_note(dataclasses.replace(found, scores=scores), sentence)
        if "mean accuracy" in scores:
            return add_note(found, "The mean accuracy is that of all its re-runs, to be quoted.")
        return found
    if restored is not None:
        found = score_restored(found, *restored)
    else:
        examples = read_examples(tracker, search, found.split)
        assert examples is not None
        stored = read_predictions(tracker, search, [run], examples)
        if not stored.runs:
            raise UserError(f"The {found.split} predictions of {found.model} are not usable.")
        scores = score_outputs(stored.outputs[0], examples.targets, is_text)
        found = dataclasses.replace(found, scores=scores)
    choice = choose_winner(search)
    if found.split == "validation" and choice is not None and run is choice.model:
        return add_note(
            found,
            f"Validation has chosen this model among {format_count(len(search.trials), 'trial')}: "
            "its scores there are optimistically biased.",
        )
    return found


def evaluate_folder(folder: Path, options: argparse.Namespace) -> Evaluation:
    """Return the evaluation of the model that `train --out` wrote to a folder.

    An opening of the test set is recorded in the folder, and with a search of the same data.
    Raises UserError.
    """
    model = models.load_trained(folder, options.trust_code)
    if model.environment:
        return play_agent(model, str(folder), folder.resolve().name, options)
    reject_episodes(str(folder), options)
    name, data = models.load_folder_data(folder, options.trust_code, options.data_dir, model)
    is_other = options.data_dir is not None
    found = Evaluation(
        str(folder),
        str(options.data_dir) if is_other else f"the data of {name}",
        options.split or ("all" if is_other else "validation"),
        {},
    )
    found = score_restored(found, model, data)
    if found.split not in ("test", "all"):
        return found
    # Nothing says which data the model was trained on: any test set may be that of its data.
    entry = {"model": str(folder), **count_correct(found.scores)}
    count = add_folder_opening(folder, {**entry, "data": data.fingerprint})
    found = add_note(
        found,
        f"The test set was opened for this model: opening {count} in the record {folder / NAME}.",
    )
    if has_server(options):
        with_search = run_with_tracker(
            options, lambda tracker: add_outside_opening(tracker, data.fingerprint, entry)
        )
        found = add_note(found, _say_outside(with_search) if with_search else "")
    if found.split == "all" and data.examples is not None:
        return add_note(
            found,
            "Where these are the data that the model was trained on, its training examples are "
            "among them.",
        )
    return found


def play_agent(
    agent: models.Predictor, name: str, file_name: str, options: argparse.Namespace
) -> Evaluation:
    """Return the evaluation of an agent; writes a GIF and a table of its episodes."""
    if options.split or options.data_dir:
        raise UserError(
            f"{name} is an agent: it plays episodes of {agent.environment} and has no examples.\n"
            "Leave out --split and --data-dir, and say how many with --episodes."
        )
    scores, table = play(agent, options.episodes or EPISODES)
    paths = write_episodes(agent, table, Path(options.out), to_slug(file_name))
    notes = (
        f"The agent acts greedily. Seeds {table.rows[0][1]} to {table.rows[-1][1]} were used "
        "neither for its training nor for its selection.",
        *(f"{what}: {path}" for what, path in zip(("first episode", "table"), paths, strict=True)),
    )
    return Evaluation(name, agent.environment, "episodes", scores, notes)


def reject_episodes(name: str, options: argparse.Namespace) -> None:
    """Raise UserError where a model that is no agent should play episodes."""
    if options.episodes is not None:
        raise UserError(f"{name} is no agent: it plays no episodes. Leave out --episodes.")


def score_restored(
    found: Evaluation, model: models.Predictor, data: models.GroundTruth
) -> Evaluation:
    """Return the evaluation with the scores of a restored model on its split of these data."""
    found = dataclasses.replace(found, scores=score_model(model, data, found.split))
    if missing := list_missing(model, data):
        found = add_note(found, f"The data have no examples of {name_some(missing)}.")
    if found.split == "train":
        found = add_note(found, "The model was fitted to these examples.")
    return found


def add_note(found: Evaluation, note: str) -> Evaluation:
    """Return the evaluation with a note more, unless that is empty."""
    return dataclasses.replace(found, notes=(*found.notes, note)) if note else found


def _say_outside(name: str) -> str:
    return f"The opening of the test set is recorded with {name}, a search of the same data."


def print_evaluation(found: Evaluation, as_json: bool) -> None:
    """Print an evaluation, a line per metric, or as JSON."""
    if as_json:
        print(json.dumps(to_json(found), indent=2))
        return
    n = next(iter(found.scores.values())).n
    width = max(map(len, found.scores))
    lines = [f"{found.model} {_describe_what(found, n)}"]
    lines += [
        f"  {name:{width}}  {format_interval(of, name)}" for name, of in found.scores.items()
    ]
    over = "episodes" if found.split == "episodes" else "examples"
    lines.append(f"In brackets: 95 % intervals over the {over}.")
    if "perplexity" in found.scores:
        lines[-1] = "In brackets: 95 % intervals over 30 consecutive parts of the text."
    if over == "examples" and not all(of.is_known for of in found.scores.values()):
        lines[-1] += f" {NO_INTERVAL}"
    print_text("\n".join([*lines, *found.notes]))


def _describe_what(found: Evaluation, n: int) -> str:
    if found.split == "episodes":
        return f"in {format_count(n, 'episode')} of {found.data}"
    what = "all parts" if found.split == "all" else f"the {found.split} split"
    kind = "character" if "perplexity" in found.scores else "example"
    return f"on {what} of {found.data} ({format_count(n, kind)})"


def to_json(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON; an interval that is not known is null."""
    scores = {
        name: {
            "value": of.value,
            "interval": [of.low, of.high] if of.is_known else None,
            "n": of.n,
        }
        for name, of in found.scores.items()
    }
    about = {"model": found.model, "data": found.data, "split": found.split}
    return {**about, "scores": scores, "notes": list(found.notes)}
