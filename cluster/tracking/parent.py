"""What the parent run of a search shows: its best trial, a description, and its data."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.tracking.batches import log_in_batches
from cluster.tracking.client import search_all_runs
from cluster.tracking.description import BEST, change_description, escape_line
from cluster.tracking.names import to_own_name
from cluster.tracking.pages import experiment_tags, format_run_page
from cluster.tracking.run_records import (
    SCORE,
    STATUS,
    Point,
    clean_tag,
    format_value,
    search_tags,
    to_milliseconds,
)

BEST_TRIAL = to_own_name("best_trial")
LONGEST_DIGEST = 36
"""Characters of a data set's digest in MLflow."""


def create_parent(client: MlflowClient, ledger: Ledger, experiment: str) -> str:
    """Create the run of a search, and return its id."""
    tags, started = search_tags(ledger.settings), to_milliseconds(ledger.settings.started)
    made = client.create_run(experiment, started, tags, run_name=ledger.folder.name)
    return str(made.info.run_id)


def adopt_runs(client: MlflowClient, experiment: str, search: str, parent: str) -> None:
    """Set this parent for the runs of a search whose parent run was deleted in MLflow."""
    # The end of an id is a number: a filter of MLflow cannot quote every name.
    query = f"tags.search LIKE '%-{search.rpartition('-')[2]}'"
    query += f" and tags.`mlflow.parentRunId` != '{parent}'"
    for run in search_all_runs(client, [experiment], query):
        if run.data.tags["search"] == search:
            client.set_tag(run.info.run_id, "mlflow.parentRunId", parent)


def describe_search(client: MlflowClient, ledger: Ledger, run_id: str, experiment: str) -> None:
    """Write the data of a search to its parent run, and the view of its runs to the experiment."""
    client.set_tag(run_id, "trials", str(ledger.settings.trials))
    client.log_inputs(run_id, describe_data(ledger))
    for key, text in experiment_tags(ledger.settings).items():
        client.set_experiment_tag(experiment, key, text)


def write_best(
    client: MlflowClient,
    ledger: Ledger,
    run_id: str,
    experiment: str,
    runs: Mapping[int, str],
    points: Sequence[Point] = (),
) -> None:
    """Write the best trial so far to the parent run, and further `points`, in one request.

    `runs` maps trials to MLflow run ids.
    """
    tags: dict[str, str] = {}
    if best := ledger.rank_trials(ledger.trial_logs.values())[:1]:
        points = [*points, *best_points(ledger, best[0])]
        page = format_run_page("", experiment, runs.get(best[0].trial, ""))
        tags = best_tags(ledger, best[0], page, client.get_run(run_id).data.tags)
    log_in_batches(client, run_id, points, {}, tags)


def best_points(ledger: Ledger, best: TrialLog) -> list[Point]:
    """Return score and number of the best trial so far; the step is the number of ended trials."""
    report = ledger.best_report(best)
    assert report is not None  # a trial without a score has no rank
    ended = sum(log.outcome is not None for log in ledger.trial_logs.values())
    at = to_milliseconds(best.ended)
    return [(SCORE, report[0], at, ended), (BEST_TRIAL, float(best.trial), at, ended)]


def best_tags(
    ledger: Ledger, best: TrialLog, page: str, tags: Mapping[str, str]
) -> dict[str, str]:
    """Return the best trial's hyperparameters as tags, and the description of the search.

    `page` is the address of the trial's run, `tags` are those that the search's run has. They are
    tags, since MLflow never changes a param, and another trial may become the best.
    """
    report = ledger.best_report(best)
    assert report is not None
    settings = ledger.settings
    counts = [f"{n} {outcome}" for outcome, n in count_outcomes(ledger).items() if n]
    note = [
        escape_line(settings.provenance.get("question", "")),
        f"**Best trial: [{best.trial:03d}]({page})**, `{_to_code(settings.metric)}` "
        f"{format_value(report[0])} at report {report[1]}. Trials: {', '.join(counts)}.",
        f"~~~json\n{json.dumps(best.config, indent=1)}\n~~~",
    ]
    return {
        "best_trial": str(best.trial),
        "best_config": clean_tag(json.dumps(best.config)),
        **change_description(tags, BEST, "\n\n".join(filter(None, note))),
    }


def count_outcomes(ledger: Ledger) -> dict[str, int]:
    """Return the number of trials per outcome."""
    counts: dict[str, int] = dict.fromkeys(STATUS, 0)
    for trial_log in ledger.trial_logs.values():
        if trial_log.outcome is not None:
            counts[trial_log.outcome] += 1
    return counts


def outcome_counts(ledger: Ledger, infeasible: int) -> list[Point]:
    """Return the number of trials per outcome, as points of the parent run."""
    counts = count_outcomes(ledger)
    counts["infeasible"] = infeasible
    counts["retried"] = sum(
        len(trial_log.failures) > 0 for trial_log in ledger.trial_logs.values()
    )
    now = to_milliseconds(time.time())
    return [(to_own_name(key), float(value), now, 0) for key, value in counts.items()]


def describe_data(ledger: Ledger) -> Sequence[DatasetInput]:
    """Return the data of a search as MLflow's data set, with the examples per split.

    A split whose file is damaged has none.
    """
    provenance = ledger.settings.provenance
    fingerprint = provenance.get("data_fingerprint", "")
    if not fingerprint:
        return []
    sizes = {}
    for path in sorted((ledger.folder / "data").glob("*.parquet")):
        with contextlib.suppress(OSError, pa.ArrowException):  # damaged: the rest is written
            sizes[path.stem] = pq.read_metadata(path).num_rows
    dataset = Dataset(
        name=ledger.settings.space[:500],
        digest=fingerprint[:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"data": provenance.get("source", "")}),
        profile=json.dumps(sizes),
    )
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]


def _to_code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
