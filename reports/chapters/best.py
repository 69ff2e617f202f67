"""The best trials, and the default configuration beside the winner."""

from collections import defaultdict

from reports.numbers.statistics import is_finite, wilson_interval
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_count,
    format_score,
    format_value,
    is_share,
    join_words,
    to_markdown,
)

SHOWN = 10  # best trials in the table


def find_varied(search: Search) -> list[str]:
    """Hyperparameters that differ between trials: those the space compares first."""
    values = defaultdict(set)
    for trial in search.trials:
        for key, value in trial.params.items():
            values[key].add(value)
    names = sorted(key for key, seen in values.items() if len(seen) > 1)
    return [n for n in search.compare if n in names] + [
        n for n in names if n not in search.compare
    ]


def write_best_trials(search: Search, choice: Choice, validation: int | None = None) -> str:
    """The best candidates, and the default configuration wherever it came.

    Scores that are shares of so many validation examples have an interval each.
    """
    shown = list(choice.candidates[:SHOWN])
    shown += [t for t in search.trials if t.number == 0 and t not in shown]
    names = find_varied(search)
    n = validation if is_share(search.metric) else None
    interval = f"95 % interval, n = {n:,}" if n else ""
    rows = tuple(_trial_row(search, choice, trial, names, n) for trial in shown)
    if all(trial.outcome == "complete" for trial in shown):
        rows = tuple((row[0], "", *row[2:]) for row in rows)
    about = ("trial", "outcome", f"best {search.metric}", interval)
    header = (*about, "at report", "parameters", "device s", *names)
    table = Table(header, rows, "llrrrrr" + "r" * len(names))
    text = to_markdown(drop_empty_columns(table))
    if n:
        text += (
            "\n\nAn interval (Wilson) is that of one score on these validation examples; that "
            "the best of many are flattered by the choice is not in it."
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
            f"\n\n{format_count(len(ahead), 'trial')} scored better without being complete and "
            f"could not win: {shown_ahead}{' and others' if len(ahead) > 5 else ''}."
        )
    return text


def _trial_row(
    search: Search, choice: Choice, trial: TrialRecord, names: list[str], n: int | None
) -> tuple[str, ...]:
    marks = [
        word
        for word, holds in (("winner", trial is choice.winner), ("default", trial.number == 0))
        if holds
    ]
    metrics = trial.metrics
    return (
        f"{trial.number}" + (f" ({', '.join(marks)})" if marks else ""),
        trial.outcome,
        format_score(metrics.get("score"), search.metric),
        _interval(metrics.get("score"), n),
        f"{metrics['best_report']:.0f}" if "best_report" in metrics else "",
        f"{metrics['parameters']:,.0f}" if "parameters" in metrics else "",
        _seconds(metrics.get("device_seconds")),
        *(format_value(trial.params.get(name, "")) for name in names),
    )


def _seconds(found: float | None) -> str:
    return "" if found is None else f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def _interval(score: float | None, n: int | None) -> str:
    if n is None or score is None or not 0 <= score <= 1:
        return ""
    found = wilson_interval(round(score * n), n)
    return f"{found.low * 100:.2f} to {found.high * 100:.2f} %"


def compare_with_default(search: Search, choice: Choice, validation: int | None) -> str:
    """Whether searching was worth it: the winner beside trial 0, score and settings."""
    default = next((trial for trial in search.trials if trial.number == 0), None)
    if default is None:
        return "There is no trial 0 on record, so the default configuration is unknown."
    winner = choice.winner
    if default is winner and search.unfinished:
        return (
            "So far the default configuration (trial 0) leads. The search is unfinished, so that "
            "this is no result."
        )
    if default is winner:
        better = "has a better mean over fresh seeds" if choice.is_confirmed else "scored better"
        return f"**The default configuration won**: no other candidate {better} on validation."
    ours, theirs = winner.metrics["score"], default.metrics.get("score")
    if theirs is None or not is_finite(theirs):
        return f"The default configuration (trial 0) has no score: it is {default.outcome}."
    gain = (ours - theirs) * (1 if search.mode == "max" else -1)
    by = f"{abs(gain) * 100:.2f} points" if is_share(search.metric) else f"{abs(gain):.4g}"
    verdict = "beats" if gain > 0 else "does not beat" if gain < 0 else "only equals"
    text = (
        f"The winner **{verdict} the default** configuration (trial 0, {default.outcome}) by the "
        f"metric of the search: {format_score(ours, search.metric)} against "
        f"{format_score(theirs, search.metric)}, a difference of {by}."
    )
    if choice.is_confirmed:
        text += " It was chosen for its mean over fresh seeds, which counts for more."
    if is_share(search.metric) and validation and 0 <= ours <= 1:
        spread = wilson_interval(round(ours * validation), validation)
        text += (
            f" A single score on n = {validation:,} examples is uncertain by about "
            f"±{(spread.high - spread.low) * 50:.2f} points (95 %), and the winner's, being the "
            "best of many, is flattered by the choice."
        )
    rows = tuple(
        (
            name,
            format_value(winner.params.get(name, "")),
            format_value(default.params.get(name, "")),
        )
        for name in find_varied(search)
        if name != "seed" and winner.params.get(name) != default.params.get(name)
    )
    if rows:
        text += "\n\n" + to_markdown(Table(("hyperparameter", "winner", "default"), rows, "lrr"))
    return text
