"""Read a search and its trials from MLflow as plain records, whatever the server."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any

from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.tracking.names import (
    SUGGESTED,
    from_mlflow_params,
    is_escaped,
    split_metrics,
    to_mlflow_name,
)
from cluster.tracking.run_records import read_number, strip_run_name
from reports.numbers.statistics import is_finite
from reports.records import Curve, Search, TrialRecord
from reports.write.tables import NumberName
from trainables.collection import pause_collection
from trainables.errors import AbsentError, UnreadableError, UserError
from trainables.invocation import format_command
from trainables.ranking import Mode

Tracker = MlflowClient
TrackerError = MlflowException
"""Both for modules that do not import MLflow themselves."""

PAGE = 1000  # runs per request; MLflow's own servers accept up to 50,000
KINDS = {"trial": ("trial",), "confirmation": ("trial", "of")}  # child runs, and their numbers


def read_search(tracker: Tracker, name: str) -> Search:
    """Return the newest search of a space, or else the search with this name or id.

    A space is named by its name or by the id of its MLflow experiment. Curves are not read.
    Raises UserError where a space and a search of another space have this name.
    """
    existing, searches = _list_searches(tracker)
    experiment = next((e for e in existing if e.name == name), None)
    experiment = experiment or next((e for e in existing if e.experiment_id == name), None)
    space = experiment.experiment_id if experiment else ""
    own = _find_by_name([r for r in searches if r.info.experiment_id != space], name)
    newest = max(
        (run for run in searches if run.info.experiment_id == space),
        key=lambda run: run.info.start_time,
        default=None,
    )
    if own and newest and _get_id(own) != _get_id(newest):
        raise UserError(
            f"{name!r} is a space and the name of a search of another space.\nName the search by "
            f"its id: {_get_id(newest)} is the newest of the space, {_get_id(own)} the other one."
        )
    found = newest or own
    if found is None:
        _check_deleted(tracker, space, name)
        if experiment is None:
            raise _explain_absence(tracker.get_experiment_by_name(name), existing, searches, name)
        raise AbsentError(
            f"The experiment {experiment.name!r} contains no search.\n"
            f"Run one with: {format_command('tune')} --space {shlex.quote(name)}",
            name,
        )
    return _search(tracker, _get_space(existing, found), found)


def read_named_search(tracker: Tracker, name: str) -> Search:
    """Return the search with this name, such as digits-2, or else the newest of this space."""
    existing, searches = _list_searches(tracker)
    own = _find_by_name(searches, name)
    return _search(tracker, _get_space(existing, own), own) if own else read_search(tracker, name)


def _list_searches(
    tracker: Tracker, experiments: int = ViewType.ACTIVE_ONLY, runs: int = ViewType.ACTIVE_ONLY
) -> tuple[list[Experiment], list[Run]]:
    existing = _pages(partial(tracker.search_experiments, view_type=experiments))
    ids = [experiment.experiment_id for experiment in existing]
    # Compared by callers: a filter of MLflow has no way to quote every name.
    query, view = "tags.kind = 'search'", runs
    ask = partial(tracker.search_runs, ids, query, run_view_type=view, max_results=PAGE)
    return existing, _pages(ask)


def _check_deleted(tracker: Tracker, space: str, name: str) -> None:
    """Raise UnreadableError where the run of a search was deleted, as in MLflow's UI."""
    _, deleted = _list_searches(tracker, runs=ViewType.DELETED_ONLY)
    names = [(run.info.experiment_id, run.info.run_name, _get_id(run)) for run in deleted]
    for run, known in zip(deleted, names, strict=True):
        if space == known[0] or name in known[1:]:
            raise UnreadableError(
                f"The run of the search {run.info.run_name!r} was deleted in MLflow.\n"
                f"Restore it with: mlflow runs restore --run-id {run.info.run_id}\n"
                "or write the search again with: python -m cluster.tracking rebuild FOLDER"
            )


def list_same_data(tracker: Tracker, fingerprint: str, but: str = "") -> list[Run]:
    """Return the runs of all searches of these data on this server, deleted ones too.

    The run with the id `but` is left out. None where the data have no fingerprint.
    """
    if not fingerprint:
        return []
    _, searches = _list_searches(tracker, ViewType.ALL, ViewType.ALL)
    return [
        run
        for run in searches
        if run.data.tags.get("data_fingerprint") == fingerprint and run.info.run_id != but
    ]


def _find_by_name(searches: Sequence[Run], name: str) -> Run | None:
    found = [run for run in searches if run.info.run_name == name]
    found = found or [run for run in searches if _get_id(run) == name]
    if len(found) > 1:
        raise UserError(
            f"More than one search on this server has the name {name!r}.\n"
            f"Use their ids: {', '.join(map(_get_id, found[:5]))}"
        )
    return found[0] if found else None


def _get_id(run: Run) -> str:
    return str(run.data.tags.get("search", run.info.run_id))


def _get_space(existing: Sequence[Experiment], run: Run) -> str:
    return next(str(e.name) for e in existing if e.experiment_id == run.info.experiment_id)


def _search(tracker: Tracker, space: str, run: Run) -> Search:
    tags = run.data.tags
    modes: dict[str, Mode] = {"min": "min", "max": "max"}
    mode = modes.get(tags.get("mode", ""))
    if "metric" not in tags or mode is None:
        raise UserError(
            f"Run {run.info.run_name!r} ({run.info.run_id}) lacks the tags `metric` and `mode` "
            f"(min or max; here {tags.get('mode')!r}).\nAnother program has probably written it."
        )
    trials = _children(tracker, run)
    return Search(
        run_id=run.info.run_id,
        name=run.info.run_name or space,
        space=space,
        metric=_find_unit(tags["metric"], trials),
        mode=mode,
        tags=tags,
        metrics=split_metrics(run.data.metrics, tags)[0],
        trials=tuple(trial for trial in trials if trial.of is None),
        reruns=tuple(trial for trial in trials if trial.of is not None),
        is_finished=run.info.status == "FINISHED",
        experiment=run.info.experiment_id,
        tracking_uri=str(tracker.tracking_uri),
        **parse_tags(tags),
    )


def _find_unit(metric: str, trials: Sequence[TrialRecord]) -> str:
    """Return the name of the metric, as one that is no share where a score is not from 0 to 1.

    As a share, a difference of 1.5 would be 150 points, and an interval be cut off at 1.
    """
    scores = [trial.metrics.get("score") for trial in trials]
    shares = all(0 <= score <= 1 for score in scores if score is not None and is_finite(score))
    return metric if shares else NumberName(metric)


def parse_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a search that its tags have as JSON; empty where a tag is cut."""
    return {
        "compare": tuple(name for name in _json(tags, "compare", []) if isinstance(name, str)),
        "published": tuple(e for e in _json(tags, "published", []) if isinstance(e, dict)),
        "versions": _json(tags, "versions", {}),
    }


def _explain_absence(
    found: Experiment | None, existing: Sequence[Experiment], searches: Sequence[Run], name: str
) -> UserError:
    if found is not None:
        return UserError(
            f"The experiment {name!r} is deleted.\n"
            f"Restore it with: mlflow experiments restore -x {found.experiment_id}"
        )
    used = {run.info.experiment_id for run in searches}
    # MLflow creates an experiment `Default` by itself.
    names = sorted(e.name for e in existing if e.name != "Default" or e.experiment_id in used)
    known = dict.fromkeys([*names, *(str(run.info.run_name) for run in searches)])
    near = get_close_matches(name, known, n=3)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return AbsentError(f"No experiment {name!r}.{guess}\nThere are: {shown or 'none yet'}.", name)


def _children(tracker: Tracker, parent: Run) -> list[TrialRecord]:
    # MLflow makes an object per metric of every run: 1,000 trials may have 2,000 metrics each.
    with pause_collection():
        runs = _pages(
            lambda page_token: tracker.search_runs(
                [parent.info.experiment_id],
                f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
                max_results=PAGE,
                page_token=page_token,
            )
        )
        trials = [_trial(run) for run in runs if run.data.tags.get("kind") in KINDS]
    return sorted(trials, key=lambda trial: trial.number)


def _trial(run: Run) -> TrialRecord:
    tags = run.data.tags
    metrics, reported = split_metrics(run.data.metrics, tags)
    numbers = {tag: read_number(tags, tag) for tag in KINDS[tags["kind"]]}
    for tag, number in numbers.items():
        if number is None:
            raise UserError(
                f"Run {run.info.run_name!r} ({run.info.run_id}) has no trial number: "
                f"its tag `{tag}` is {tags.get(tag, '')!r}."
            )
    params = from_mlflow_params(run.data.params, tags)
    suggested = {name for name in params if name.startswith(SUGGESTED)}
    return TrialRecord(
        run_id=run.info.run_id,
        name=strip_run_name(run.info.run_name or tags["trial"], int(tags["trial"])),
        number=int(tags["trial"]),
        outcome=tags.get("outcome", "unfinished"),
        params={name: text for name, text in params.items() if name not in suggested},
        suggested={name.removeprefix(SUGGESTED): params[name] for name in suggested},
        metrics=metrics,
        reported=reported,
        error=tags.get("error"),
        reason=tags.get("reason"),
        tags=tags,
        reports=_count_reports(run),
        of=numbers.get("of"),
    )


def _count_reports(run: Run) -> int:
    # The public properties have values only. A protobuf message has the steps, too, but making it
    # takes a quarter of the time that reading thousands of metrics takes.
    return max((int(metric.step) for metric in run.data._metric_objs), default=0)


def read_curves(
    tracker: Tracker, trials: Iterable[TrialRecord], keys: Sequence[str]
) -> tuple[TrialRecord, ...]:
    """Return the trials with their curves of these metrics: one request per trial and metric."""
    return tuple(
        replace(trial, curves={key: _curve(tracker, trial, key) for key in keys})
        for trial in trials
    )


def _curve(tracker: Tracker, trial: TrialRecord, key: str) -> Curve:
    if key not in trial.reported:
        return ()
    name = to_mlflow_name(key) if is_escaped(trial.tags) else key
    points = tracker.get_metric_history(trial.run_id, name)
    # A report that was logged again after a resume counts once: the later value is used.
    last = {p.step: p.value for p in sorted(points, key=lambda p: p.timestamp)}
    return tuple(sorted(last.items()))


def _json(tags: Mapping[str, str], key: str, otherwise: Any) -> Any:
    # Servers cut long tags: `reports.read.settings.restore_tags` reads these elsewhere.
    try:
        value = json.loads(tags[key])
    except (KeyError, ValueError):
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _pages(ask: Callable[..., Any]) -> list[Any]:
    page = ask(page_token=None)
    found = list(page)
    while page.token:
        page = ask(page_token=page.token)
        found.extend(page)
    return found
