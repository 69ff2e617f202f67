"""The best trials, and the winner compared with the default configuration."""

import math
from collections import defaultdict

from cluster.tracking.pages import format_run_page
from reports.chapters.confirmation.significance import judge_default
from reports.numbers.statistics import is_finite, wilson_interval
from reports.read.opened_test import OpenedTest
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.safe import format_code, shorten
from reports.write.tables import (
    NAME,
    Table,
    drop_empty_columns,
    format_count,
    format_score,
    format_value,
    is_proportion,
    is_share,
    join_words,
    to_markdown,
)
from trainables.durations import format_duration

SHOWN = 10  # best trials in the table
COLUMNS = 16  # hyperparameters in the table
ROWS = 40  # hyperparameters in the comparison with the default


def find_varied(search: Search) -> list[str]:
    """Return the hyperparameters that differ between trials, compared ones first."""
    values = defaultdict(set)
    for trial in search.trials:
        for key, value in trial.params.items():
            values[key].add(value)
    names = sorted(key for key, seen in values.items() if len(seen) > 1)
    return [n for n in search.compare if n in names] + [
        n for n in names if n not in search.compare
    ]


def write_best_trials(search: Search, choice: Choice, validation: int | None = None) -> str:
    """Return a table of the best candidates and the default configuration.

    A score that is a share of `validation` examples has an interval.
    """
    shown = list(choice.candidates[:SHOWN])
    default = search.default
    shown += [default] if default and default not in shown else []
    varied = find_varied(search)
    names = varied[:COLUMNS]
    n = validation if is_proportion(search.metric) else None
    interval = f"95 % interval, n = {n:,}" if n else ""
    rows = tuple(_format_trial(search, choice, trial, names, n) for trial in shown)
    if all(trial.outcome == "complete" for trial in shown):
        rows = tuple((row[0], "", *row[2:]) for row in rows)
    about = ("trial", "outcome", f"best {search.metric}", interval)
    shown_names = [shorten(name, NAME) for name in names]
    header = (*about, "at report", "parameters", "device time", *shown_names)
    links = tuple(link_run(search, trial) for trial in shown)
    table = Table(header, rows, "llrrrrr" + "r" * len(names), links)
    text = to_markdown(drop_empty_columns(table))
    if len(varied) > len(names):
        text += (
            f"\n\n{len(varied) - len(names):,} further hyperparameters are in "
            "`tables/trials.csv` only."
        )
    if n:
        text += (
            "\n\nAn interval (Wilson) is that of a single score on these validation examples. It "
            "does not contain the selection bias: the best of many scores is optimistically "
            "biased."
        )
    candidates = set(choice.candidates)
    sign = 1 if search.mode == "max" else -1
    bar = sign * choice.winner.metrics["score"]
    ahead = [
        trial
        for trial in search.trials
        if trial not in candidates
        and is_finite(trial.metrics.get("score"))
        and sign * trial.metrics["score"] > bar
    ]
    if ahead:
        shown_ahead = join_words(
            [f"{t.number} ({format_score(t.metrics['score'], search.metric)})" for t in ahead[:5]]
        )
        text += (
            f"\n\n{format_count(len(ahead), 'trial')} with a better score "
            f"{'is' if len(ahead) == 1 else 'are'} not complete and could not win: "
            f"{shown_ahead}{' and others' if len(ahead) > 5 else ''}."
        )
    return text


def link_run(search: Search, trial: TrialRecord) -> str:
    """Return the address of a trial's run in MLflow; empty where no server shows it."""
    if not search.server:
        return ""
    return format_run_page(search.server, search.experiment, trial.run_id)


def _format_trial(
    search: Search, choice: Choice, trial: TrialRecord, names: list[str], n: int | None
) -> tuple[str, ...]:
    default = search.default
    marks = [
        word
        for word, holds in (("winner", trial is choice.winner), ("default", trial is default))
        if holds
    ]
    metrics = trial.metrics
    return (
        f"{trial.number}" + (f" ({', '.join(marks)})" if marks else ""),
        trial.outcome,
        format_score(metrics.get("score", math.nan), search.metric),
        _format_interval(metrics.get("score"), n),
        f"{metrics['best_report']:.0f}" if "best_report" in metrics else "",
        f"{metrics['parameters']:,.0f}" if "parameters" in metrics else "",
        format_duration(metrics["device_seconds"]) if "device_seconds" in metrics else "",
        *(format_value(trial.params.get(name, "")) for name in names),
    )


def _format_interval(score: float | None, n: int | None) -> str:
    if n is None or score is None or not 0 <= score <= 1:
        return ""
    interval = wilson_interval(round(score * n), n)
    return f"{interval.low * 100:.2f} to {interval.high * 100:.2f} %"


def compare_with_default(search: Search, choice: Choice, test: OpenedTest) -> str:
    """Compare the winner with the default configuration, in score and settings.

    Only re-runs on the sealed test set say which is better.
    """
    default, winner = search.default, choice.winner
    if default is None:
        return "No trial of this search is the default configuration, so none is compared with it."
    if choice.is_confirmed:
        text = judge_default(search, test) or (
            f"The default configuration (trial {default.number}) was not re-run on enough seeds: "
            "whether the winner is better is not known."
        )
    else:
        text = _compare_scores(search, choice, default)
    if default is winner:
        return text
    rows = tuple(
        (
            shorten(name, NAME),
            format_value(winner.params.get(name, "")),
            format_value(default.params.get(name, "")),
        )
        for name in find_varied(search)
        if name != "seed" and winner.params.get(name) != default.params.get(name)
    )
    if rows:
        header = ("hyperparameter", "winner", "default")
        text += "\n\n" + to_markdown(Table(header, rows[:ROWS], "lrr"))
    if len(rows) > ROWS:
        text += f"\n\n{len(rows) - ROWS:,} further ones differ: see `tables/trials.csv`."
    return text


def _compare_scores(search: Search, choice: Choice, default: TrialRecord) -> str:
    winner, name = choice.winner, f"The default configuration (trial {default.number})"
    if default is winner and search.unfinished:
        return (
            f"So far {name[0].lower()}{name[1:]} has the best validation score. This is not a "
            "result yet: the search is unfinished."
        )
    if default is winner:
        return (
            f"**{name} has the best validation score of all candidates.** This is one run of "
            "each, not confirmed."
        )
    if default.outcome in ("diverged", "failed"):
        return f"{name} cannot be compared: it {default.outcome}."
    ours, theirs = winner.metrics["score"], default.metrics.get("score")
    if theirs is None or not is_finite(theirs):
        return f"{name} has no score: it is {default.outcome}."
    gain = abs(ours - theirs)
    by = f"{gain * 100:.2f} points" if is_share(search.metric) else f"{gain:.4g}"
    return (
        f"In {format_code(search.metric)} the winner has {format_score(ours, search.metric)} and "
        f"the default configuration (trial {default.number}, {default.outcome}) "
        f"{format_score(theirs, search.metric)}, a difference of {by}. **This is one run of each, "
        "not confirmed**: the score of the winner is the best of "
        f"{format_count(len(choice.candidates), 'candidate')}, and so optimistically biased. "
        "Whether it is better than the default is not known: `--confirm 1` runs both again on new "
        "seeds."
    )
