"""Whole reports, from a database to report.md."""

import contextlib
import json
import math
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

import reports.chapters.curves.chapter
from cluster.tracking.description import BEST, NOTE, change_description
from cluster.tracking.names import to_own_name
from reports.assemble import format_winner
from reports.contents import collect_findings
from reports.numbers.statistics import wilson_interval
from reports.read.records import read_search
from tests.support.make_search import list_openings

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]

DEFAULT_BEST = (
    "**The default configuration (trial 0) has the best validation score of all candidates.**"
)


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_summary_describes_the_search_and_its_result(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    text = read_report()
    for expected in (
        "Which small network reads digits best?",
        "python -m trainables.tune --space digits --trials 12",
        "python 3.11.9, torch 2.13.0",
        "0123abc",
        "real; feed0001; 300 validation, 400 test",
        "2 cores",
        "| tpe |",
        "(figures/training_curves.png)",
    ):
        assert expected in text
    assert "SYNTHETIC" not in text
    lines = re.findall(
        r"^winner test accuracy: \d\d\.\d\d % \(95 % interval \d\d\.\d\d to \d\d\.\d\d %, "
        r"n = \d+; one run, not confirmed\)$",
        text,
        re.MULTILINE,
    )
    (line,) = lines
    assert "94.25 % (95 % interval 91.52 to 96.14 %, n = 400; one run, not confirmed)" in line


def test_the_quoted_line_is_recomputed_from_the_stored_files_alone(
    write_search: Write, read_report: Read, some_trials: Trials, storage: Path
) -> None:
    # From the database and the Parquet files, with none of the code of the reports.
    parent = write_search(some_trials)
    text = read_report()
    with contextlib.closing(sqlite3.connect(storage / "mlflow.db")) as database:
        places = dict(database.execute("select run_uuid, artifact_uri from runs"))
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in database.execute("select run_uuid, key, value from tags"):
            tags.setdefault(run, {})[key] = value
        query = "select run_uuid, value from latest_metrics where key like '%score'"
        scores = {run: value for run, value in database.execute(query) if run != parent}
    complete = [run for run in scores if tags[run].get("outcome") == "complete"]
    winner = max(complete, key=lambda run: scores[run])

    def read(run: str, path: str) -> pa.Table:
        return pq.read_table(Path(places[run].removeprefix("file://")) / path).sort_by("id")

    examples = read(parent, "data/test.parquet")
    table = read(winner, "predictions/test.parquet")
    outputs = np.stack([table[n] for n in table.column_names if n != "id"], axis=1)
    right = outputs.argmax(axis=1) == np.asarray(examples["target"])
    n, share, z = len(right), right.mean(), 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = 100 * (middle - half), 100 * (middle + half)
    line = f"{100 * share:.2f} % (95 % interval {low:.2f} to {high:.2f} %, n = {n}; one run"
    assert f"winner test accuracy: {line}, not confirmed)" in text
    assert f"with {100 * scores[winner]:.2f} %" in text


def test_the_winner_is_the_best_complete_trial(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    text = read_report()
    assert "The winner is trial 3 (`digits-003`) with 97.00 %" in text
    assert "1 trial with a better score is not complete and could not win: 7 (99.00 %)" in text
    assert "**This is one run of each, not confirmed**" in text
    assert "better than the default is not known" in text
    assert "beats" not in text
    assert "a difference of 4.00 points" in text
    winner = row(text, "3 (winner)")
    found = wilson_interval(291, 300)
    interval = f"{found.low * 100:.2f} to {found.high * 100:.2f} %"
    assert "| 95 % interval, n = 300 |" in text
    assert winner[:3] == ["3 (winner)", "97.00 %", interval]
    assert winner[3:] == ["11", "10,003", "1 min 40 s", "adamw", "0.0167", "32"]
    assert row(text, "0 (default)")[1] == "93.00 %"
    assert "| batch_size" not in text  # it was the same in every trial


def test_outcomes_and_published_numbers(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    some_trials[11]["outcome"] = ""
    write_search(some_trials)
    text = read_report("digits", "--open-test")
    counts = {"complete": "7", "stopped": "2", "diverged": "1", "failed": "1", "unfinished": "1"}
    for outcome, count in (counts | {"infeasible": "3", "retried": "1"}).items():
        assert row(text, outcome)[1] == count
    assert "All trials together: 20 min 00 s of device time." in text
    assert row(text, "k nearest")[1:] == ["test accuracy", "98.00 %", "old"]
    assert row(text, "this search, trial 3")[2] == "94.25 %"
    assert "ours on the data with the fingerprint `feed0001` and with the budget above" in text
    assert "1 trial (10):\n\n```text" in text
    assert "ValueError: `odd` width" in text


def test_figures_are_saved_next_to_the_report(
    draw_figures: None, write_search: Write, read_report: Read, some_trials: Trials, tmp_path: Path
) -> None:
    write_search(some_trials)
    text = read_report()
    for name in re.findall(r"\(([^() ]+\.(?:png|svg))\)", text):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    first = (tmp_path / "out/figures/training_curves.svg").read_bytes()
    read_report()
    assert (tmp_path / "out/figures/training_curves.svg").read_bytes() == first


def test_synthetic_data_are_marked(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials[:3], {"source": "synthetic"})
    text = read_report()
    assert text.startswith("# SYNTHETIC DATA: digits")
    assert "k nearest" not in text


def test_a_space_without_predictions(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    for trial in some_trials:
        del trial["correct"]
    write_search(some_trials, {"metric": "validation_loss", "mode": "min"}, data=False)
    text = read_report()
    assert "The winner is trial 4 (`digits-004`) with 0.9 at" in text
    assert "This search has no test set: the score is optimistically biased" in text
    assert "## Use of the test set" not in text
    assert "winner test accuracy" not in text
    assert row(text, "this search, trial 4")[3] == "optimistically biased (selection)"


def test_an_empty_search(write_search: Write, read_report: Read) -> None:
    write_search([])
    assert "**This search is empty**" in read_report()


def test_a_search_whose_driver_was_killed_is_not_called_empty(
    write_search: Write, read_report: Read
) -> None:
    write_search([], {"trials": "3"})
    text = read_report()
    assert "**No trial is recorded yet**: 0 of 3 trials have ended" in text
    assert "python -m cluster.tracking rebuild" in text


def test_one_trial_and_one_report(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    some_trials[0]["curves"] = {"validation_accuracy": [0.93]}
    write_search(some_trials[:1])
    text = read_report()
    assert DEFAULT_BEST in text
    assert not {"## Training curves", "## Hyperparameters", "## Hyperparameter importance"} & {
        *text.split("\n")
    }
    assert "winner test accuracy: 95.00 %" in text


def test_all_failed_and_no_metric(write_search: Write, read_report: Read) -> None:
    write_search(
        [{"number": i, "outcome": "failed", "error": f"OSError: {i % 7}"} for i in range(20)]
    )
    text = read_report()
    assert "**No trial has a score**" in text
    assert "3 trials (0, 7 and 14):" in text
    assert "2 less common errors are not shown." in text
    assert "test set of this search" not in text


@pytest.mark.parametrize(
    ("last", "tags", "recorded"),
    [
        ({"outcome": ""}, {}, "2 of 3 trials have ended: the same command with `--resume`"),
        ({}, {"trials": "5"}, "3 of 5 trials have ended: the same command with `--resume`"),
    ],
)
def test_an_unfinished_search_opens_no_test_set_and_has_no_result(
    last: dict[str, Any],
    tags: dict[str, str],
    recorded: str,
    write_search: Write,
    read_report: Read,
    some_trials: Trials,
    client: MlflowClient,
) -> None:
    trials = [some_trials[0], some_trials[1], some_trials[8] | last]
    parent = write_search(trials, tags)
    text = read_report("digits", "--ensemble")
    assert f"**It is unfinished**: {recorded}" in text
    assert DEFAULT_BEST not in text
    assert "`--open-test` opens it for trial 0, and that is counted" in text
    assert list_openings(client, parent) == []
    assert "winner test accuracy: 95.00 %" in read_report("digits", "--open-test")
    assert "winner test accuracy: 95.00 %" in read_report()  # it is on record now


def test_a_trial_stopped_by_the_time_budget_has_ended(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    cut = some_trials[8] | {"outcome": "stopped", "reason": "time budget"}
    write_search([some_trials[0], some_trials[1], cut])
    assert "winner test accuracy" in read_report()


def test_a_search_of_a_whole_finite_space_is_finished(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    client.set_terminated(write_search(some_trials[:3], {"trials": "100"}))
    assert "winner test accuracy" in read_report()


def test_the_summary_names_the_most_common_error(write_search: Write, read_report: Read) -> None:
    trace = 'Traceback:\n  File "/a/tune.py", line 3, in run\n  File "/a/net.py", line 41, in go\n'
    errors = [f"{trace}ValueError: width 7"] * 3 + ["OSError: full"]
    write_search([{"number": n, "outcome": "failed", "error": e} for n, e in enumerate(errors)])
    text = read_report()
    first = text.partition("\n## ")[0]
    assert "**All 4 trials failed**, 3 of them with ValueError: width 7 (at `net.py:41`)." in first
    assert "3 trials (0, 1 and 2) at `net.py:41`:" in text


def test_no_complete_trial(write_search: Write, read_report: Read, some_trials: Trials) -> None:
    write_search(some_trials[7:])
    text = read_report()
    assert "**No trial is complete**" in text
    assert "The winner is trial 7" in text
    assert "No trial of this search is the default configuration" in text


def test_a_figure_of_few_trials_keeps_the_default(
    write_search: Write, read_report: Read, some_trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports.chapters.curves.chapter, "DRAWN", 2)
    write_search(some_trials)
    text = read_report()
    assert "9 trials of 12 not drawn." in text  # drawn: the winner, the last, the default


def test_every_chapter_of_a_full_search(
    draw_figures: None,
    write_search: Write,
    read_report: Read,
    some_trials: Trials,
    client: MlflowClient,
    tmp_path: Path,
) -> None:
    for trial in some_trials:
        right = round(trial["score"] * 300)
        guesses = (np.arange(300) + (np.arange(300) >= right)) % 4
        trial["outputs"] = {"validation": np.eye(4)[guesses] * 0.8 + 0.05}
    tags = {"rungs": "[1, 3]", "resources": '{"cpu": 1.0, "gpu": 0.5}'}
    write_search(some_trials, tags)
    for run in client.search_runs(["1"], "tags.kind = 'trial'"):
        number = int(run.data.tags["trial"])
        spans = [[number * 60.0, number * 60.0 + 50, f"host-{number % 2}/GPU 0"]]
        client.set_tag(run.info.run_id, "spans", json.dumps(spans))
        if number < 4:
            client.set_tag(run.info.run_id, "control", "yes")
            decision = {"report": 3, "score": 0.5, "cutoff": 0.6, "stops": number == 3}
            client.set_tag(run.info.run_id, "decisions", json.dumps([decision]))
    text = read_report()
    drawn = {path.stem for path in (tmp_path / "out/figures").glob("*.png")}
    assert drawn == {
        "asha_audit",
        "budget",
        "comparison",
        "confusion",
        "hyperparameters",
        "parallel_coordinates",
        "parameters",
        "timeline",
        "training_curves",
    }
    assert "4 control trials ran to the end" in text
    assert row(text, "a |")[4] == "75"
    assert "12 attempts on 2 devices" in text


@pytest.mark.parametrize("mode", ["max", "min"])
def test_equal_scores(
    mode: str, write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    for trial in some_trials:
        trial["score"] = 0.0
        trial["curves"] = {"validation_accuracy": [0.0] * 9, "train_loss": [0.0] * 9}
    write_search(some_trials, {"mode": mode, "sampler": "random"})
    assert DEFAULT_BEST in read_report()


def test_a_deleted_trial_is_told_and_no_other_one_wins_in_its_place(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    parent = write_search(some_trials)
    for outcome in ("complete", "stopped", "diverged", "failed"):
        count = sum(trial["outcome"] == outcome for trial in some_trials)
        client.log_metric(parent, to_own_name(outcome), count)
    best = max((t for t in some_trials if t["outcome"] == "complete"), key=lambda t: t["score"])
    (run,) = client.search_runs(
        [client.get_run(parent).info.experiment_id], f"tags.trial = '{best['number']}'"
    )
    client.log_metric(parent, to_own_name("best_trial"), best["number"])
    client.delete_run(run.info.run_id)
    found = collect_findings(client, read_search(client, "digits"))
    assert "1 trial of digits that the search has recorded is missing" in found.unreadable[0]
    assert found.test.accuracy is None
    assert format_winner(found).startswith("winner: the run of trial 3 is missing; the best of")
    assert list_openings(client, parent) == []


def test_an_accuracy_in_per_cent_is_shown_as_it_is(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    for trial in some_trials:
        if "score" in trial:
            trial["score"] = 100 * trial["score"]
    write_search(some_trials)
    text = read_report()
    assert "with 97 at report" in text
    assert "9700" not in text


def test_the_description_of_the_run_has_the_result_and_links_the_report(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    parent = write_search(some_trials)
    for key, part in change_description({}, BEST, "**Best trial: 3**").items():
        client.set_tag(parent, key, part)
    text = read_report()
    note = client.get_run(parent).data.tags[NOTE]
    assert note.startswith("**Best trial: 3**\n\n")
    assert "winner test accuracy: 94.25 %" in note
    assert f"/runs/{parent}/artifacts/report/report.html?" in note
    assert text.index("winner test accuracy") < text.index("## Next steps")
    assert "python -m trainables.train --space digits --set" in text
    left_out = text.partition("## Chapters left out")[2]
    assert "- Results per part of the data: needs data with named parts" in left_out
