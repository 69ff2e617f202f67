"""What MLflow stores of a trial: parameters, tags and metric points, as plain values."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath

from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.ledger.trial_log import Outcome, Report, TrialLog
from cluster.tracking.names import (
    NAMING,
    SUGGESTED,
    SYSTEM,
    is_escaped,
    list_long_names,
    to_mlflow_name,
    to_mlflow_params,
    to_own_name,
)
from searchspaces.json_text import to_text

STATUS: Mapping[Outcome, str] = {
    "complete": "FINISHED",
    "stopped": "FINISHED",
    "diverged": "FAILED",
    "failed": "FAILED",
}
SCORE, BEST_REPORT = to_own_name("score"), to_own_name("best_report")
DEVICE_SECONDS = to_own_name("device_seconds")
NAME = 120
"""Characters of a run's name, unless the search has a longer one."""
SHORT = {"learning_rate": "lr", "weight_decay": "wd", "batch_size": "batch"}
"""Hyperparameters as they are called in the name of a run."""
DECISIONS = 50
"""Decisions of early stopping that a trial's tag has, the last ones: ASHA makes far fewer."""
LONGEST_TAG = 8000
"""Characters of a tag; MLflow cuts a longer one, or refuses it."""
Point = tuple[str, float, int, int]
"""Key, value, milliseconds since 1970, step."""


@dataclass
class LoggedRun:
    """The content of a run in MLflow.

    `started` is in milliseconds, `metrics` has the last value of each, `seconds` the device
    seconds of each report that a run had when it was found. `written` reports of the trial log,
    from the first one on, are there. `steps` are those of all points of the metrics that were
    read as a whole.
    """

    run_id: str
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: Mapping[int, float]
    tags: Mapping[str, str]
    written: int = 0
    steps: Mapping[str, Sequence[int]] = field(default_factory=dict)


def to_milliseconds(seconds: float) -> int:
    """Return a time in milliseconds, as MLflow stores it."""
    return int(seconds * 1000)


def list_derived(settings: SearchSettings) -> frozenset[str]:
    """Return the parameters whose value no Config field has, such as an exponent."""
    ranges = settings.parameters.items()
    return frozenset(name for name, about in ranges if about.get("field", name) is None)


def run_name(ledger: Ledger, trial_log: TrialLog) -> str:
    """Return the name of a trial's run, such as `digits-017 lr=0.0075 depth=2`.

    The first word has the number; the searched hyperparameters follow, cut to NAME characters.
    """
    values = {**trial_log.parameters, **trial_log.config}
    settings = [
        f"{SHORT.get(name, name)}={format_value(values[name])}"
        for name in ledger.settings.searched
        if name in values
    ]
    name = f"{ledger.name}-{trial_log.trial:03d}"
    return " ".join([name, *settings])[: max(NAME, len(name))].rstrip()


def strip_run_name(name: str, number: int) -> str:
    """Return the name of a trial's run without the hyperparameters that follow its number."""
    start, found, _ = name.partition(f"-{number:03d} ")
    return f"{start}{found}".rstrip()


def format_value(value: object) -> str:
    """Return a hyperparameter or a score in four significant digits, as it is in a name."""
    return f"{value:.4g}" if isinstance(value, float) else to_text(value)


def run_params(trial_log: TrialLog, derived: Collection[str] = ()) -> dict[str, str]:
    """Return a trial's configuration, and its `derived` parameters, as MLflow stores them."""
    values = {key: to_text(value) for key, value in trial_log.config.items()}
    for name, value in trial_log.parameters.items():
        if name in derived:
            values[SUGGESTED + name] = to_text(value)
    return to_mlflow_params(values)


def is_complete(
    trial_log: TrialLog | None,
    ended: int | None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    derived: Collection[str] = (),
) -> bool:
    """Return whether a run has all of the trial log: its end time is written last."""
    return (
        trial_log is not None
        and trial_log.outcome is not None
        and ended == to_milliseconds(trial_log.ended)
        and is_escaped(tags)
        and params == run_params(trial_log, derived)
    )


def contradicts(
    logged: LoggedRun, trial_log: TrialLog, ended: bool, derived: Collection[str] = ()
) -> bool:
    """Return whether a run has reports, points, names or values that the trial log lacks.

    That is so after the log was lost, or where a user has logged to the run. Reports that a trial
    which has not `ended` will make again do not count.
    """
    own = {report.report: report.seconds for report in trial_log.reports}
    return (
        logged.started != to_milliseconds(trial_log.started)
        or not is_escaped(logged.tags)
        or not logged.params.items() <= run_params(trial_log, derived).items()
        or any(
            (ended or report in own) and own.get(report) != seconds
            for report, seconds in logged.seconds.items()
        )
        or _has_other_points(logged, trial_log, ended)
    )


def _has_other_points(logged: LoggedRun, trial_log: TrialLog, ended: bool) -> bool:
    """Return whether a metric of the trial log has other steps in a run, or one of them twice."""
    reported: dict[str, set[int]] = {}
    for name, _, _, step in report_points(replace(logged, seconds={}), trial_log.reports):
        reported.setdefault(name, set()).add(step)
    return any(
        (ended or step in own) and (step not in own or count > 1)
        for name, own in reported.items()
        for step, count in Counter(logged.steps.get(name, ())).items()
    )


def report_points(logged: LoggedRun, reports: Iterable[Report]) -> list[Point]:
    """Return the points of the reports that a run lacks; device seconds come last in each."""
    return [
        (name, value, to_milliseconds(report.time), report.report)
        for report in reports
        if report.report not in logged.seconds
        for name, value in [
            *((to_mlflow_name(key), to_float(value)) for key, value in report.metrics.items()),
            *((SYSTEM + key, value) for key, value in report.usage.items()),
            (DEVICE_SECONDS, report.seconds),
        ]
    ]


def final_points(logged: LoggedRun, ledger: Ledger, trial_log: TrialLog) -> list[Point]:
    """Return the totals of an ended trial that a run lacks, as points with step 0."""
    best = ledger.best_report(trial_log)
    facts = {to_own_name(key): to_float(value) for key, value in trial_log.facts.items()}
    # A fact may have the name of one of these: as device seconds it would be taken for a report.
    taken = (SCORE, BEST_REPORT, DEVICE_SECONDS)
    values = {f"{key}.fact" if key in taken else key: value for key, value in facts.items()}
    if best is not None:
        values |= {SCORE: best[0], BEST_REPORT: float(best[1])}
    now = to_milliseconds(trial_log.ended)
    return [
        (name, value, now, 0)
        for name, value in values.items()
        if logged.metrics.get(name) != value
    ]


def to_float(value: float) -> float:
    """Return a number as MLflow stores it; an integer beyond a float's range is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def first_tags(ledger: Ledger, trial_log: TrialLog, parent: str) -> dict[str, str]:
    """Return the tags that a trial's run has from the beginning; `parent` is a run id."""
    return {
        **trial_log.tags,
        **NAMING,
        "kind": ledger.settings.kind,
        "search": ledger.id,
        "trial": str(trial_log.trial),
        "mlflow.parentRunId": parent,
    }


def read_number(tags: Mapping[str, str], name: str) -> int | None:
    """Return the number in a tag of a run; None where a user has deleted or edited it."""
    text = tags.get(name, "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def trial_tags(trial_log: TrialLog, outcome: Outcome | None) -> dict[str, str]:
    """Return the tags that change while a trial runs, and those of its outcome."""
    tags = {"attempts": str(trial_log.attempts), "spans": json.dumps(trial_log.spans)}
    if trial_log.decisions:
        tags["decisions"] = json.dumps([asdict(d) for d in trial_log.decisions[-DECISIONS:]])
    if trial_log.notes:
        tags["notes"] = "\n".join(trial_log.notes)
    if outcome is not None:
        tags |= {"outcome": outcome, "reason": trial_log.reason}
    if outcome == "failed":
        tags["error"] = trial_log.failures[-1].traceback[-4000:]
        tags["failure_class"] = trial_log.failures[-1].failure_class
        if trial_log.failures[-1].output:
            tags["output"] = trial_log.failures[-1].output
    return {key: clean_tag(value) for key, value in tags.items()}


def name_tags(trial_log: TrialLog, reports: Iterable[Report]) -> dict[str, str]:
    """Return the tags that hold names which are too long for MLflow."""
    derived = (SUGGESTED + name for name in trial_log.parameters)
    metrics = (key for report in reports for key in report.metrics)
    return list_long_names({*trial_log.config, *derived, *metrics})


def describe_names(
    trial_log: TrialLog, reports: Iterable[Report], known: set[str]
) -> Iterator[str]:
    """Yield a message for each name that MLflow has as another one; adds all names to `known`."""
    metrics = (key for report in reports for key in report.metrics)
    for what, names in (("hyperparameter", trial_log.config), ("metric", metrics)):
        for name in names:
            if name not in known and (written := to_mlflow_name(name)) != name:
                yield f"{what} {name!r:.80} is written to MLflow as {written!r:.80}"
            known.add(name)


def clean_tag(text: str) -> str:
    """Return a text as the value of a tag: cut, without what databases do not accept."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
    return text[:LONGEST_TAG]


def search_tags(settings: SearchSettings) -> dict[str, str]:
    """Return the tags of a search's parent run: its settings and its provenance."""
    plain = ("space", "metric", "mode", "reports", "trials", "seed", "sampler", "scheduler")
    tags = {name: str(getattr(settings, name)) for name in (*plain, "enqueued")}
    tags |= {"rungs": json.dumps(settings.rungs), "fixed": json.dumps(settings.fixed)}
    tags["arms"] = json.dumps([fixed for fixed, _ in settings.arms]) if settings.arms else ""
    code = {name: digest[:16] for name, digest in settings.code.items()}
    tags |= {"code": json.dumps(code), "fields": json.dumps(dict(settings.fields))}
    tags |= {"kind": "search", "search": settings.id, **NAMING, **settings.provenance}
    tags |= source_tags(settings.space, settings.provenance)
    return {key: clean_tag(value) for key, value in tags.items() if value}


def source_tags(space: str, provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the tags by which MLflow shows where the code of a search comes from."""
    file = provenance.get("space_file")
    return {
        "mlflow.source.name": PurePath(file).name if file else f"searchspaces/{space}.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": provenance.get("git_commit", "").rstrip("+"),
    }
