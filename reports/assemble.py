"""Assemble a report: title, summary and chapters, with their figures and tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cluster.storage.redaction import redact
from reports.chapters.confirmation.significance import judge_default
from reports.chapters.outcomes.chapter import sum_device_seconds
from reports.chapters.outcomes.failures import describe_most_common
from reports.numbers.seeds import FEWEST
from reports.read.holdout_log import Opening, describe_openings, has_winner_changed
from reports.read.opened_test import OpenedTest
from reports.read.winner import (
    Choice,
    explain_no_winner,
    find_missing_best,
    group_reruns,
    list_lost,
    score_reruns,
)
from reports.records import Search
from reports.write.charts import Chart
from reports.write.safe import escape_markdown, format_block, format_code
from reports.write.sections import Section
from reports.write.tables import (
    Table,
    format_count,
    format_score,
    join_words,
    to_markdown,
)
from trainables.durations import format_duration


@dataclass(frozen=True)
class Findings:
    """The results that the summary of a report describes."""

    search: Search
    choice: Choice | None  # None: there is no winner
    test: OpenedTest
    sizes: Mapping[str, int]  # examples per split
    splits: tuple[str, ...] = ()  # that the search has stored
    unreadable: tuple[str, ...] = ()  # why something on record cannot be read
    others: Mapping[str, Sequence[Opening]] = field(default_factory=dict)  # of the same data

    @property
    def has_test(self) -> bool:
        """Return whether the search has a test set; also where that cannot be read."""
        return "test" in self.splits or bool(self.unreadable)


@dataclass(frozen=True)
class Report:
    """A report: markdown for GitHub, and the figures that it refers to."""

    text: str
    figures: Mapping[str, Figure]
    files: Mapping[str, bytes]  # existing pictures
    tables: Mapping[str, Table]  # too long for the text
    charts: Mapping[str, Chart]  # instead of figures in an HTML page
    unreadable: tuple[str, ...] = ()  # why something on record is not in the report


def assemble_report(findings: Findings, chapters: Sequence[tuple[str, Section | None]]) -> Report:
    """Return title, summary, test accuracy and the chapters that are not empty."""
    parts = [write_title(findings)]
    if findings.test.accuracy is not None:
        parts.append(format_winner(findings))
    parts.append(write_summary(findings))
    parts += [_list_unreadable(findings.unreadable)] if findings.unreadable else []
    figures: dict[str, Figure] = {}
    files: dict[str, bytes] = {}
    tables: dict[str, Table] = {}
    charts: dict[str, Chart] = {}
    for heading, section in chapters:
        if section is None:
            continue
        parts.append(f"## {heading}\n\n{section.text}")
        figures |= section.figures
        files |= section.files
        tables |= section.tables
        charts |= section.charts
    text = "\n\n".join(parts) + "\n"
    return Report(text, figures, files, tables, charts, findings.unreadable)


def format_winner(findings: Findings, escape: Callable[[str], str] = escape_markdown) -> str:
    """Return the test accuracy of the winner in one line, or why there is none.

    `escape` makes a name safe where the line is shown, by default in markdown.
    """
    choice, accuracy = findings.choice, findings.test.accuracy
    if choice is None:
        unfinished = findings.search.unfinished
        end = f"; it is unfinished: {unfinished}" if unfinished else ""
        return f"no winner: {explain_no_winner(findings.search)}{end}"
    if accuracy is None:
        score = format_score(choice.model.metrics["score"], findings.search.metric)
        metric = escape(findings.search.metric)
        why = findings.test.missing if findings.has_test else "this search has no test set"
        if (best := find_missing_best(findings.search)) is not None:
            other = f"the best of the others is {choice.model.title}, {metric} {score}"
            return f"winner: the run of trial {best} is missing; {other}"
        return f"winner: {choice.model.title}, {metric} {score}; {why}"
    n = f"n = {accuracy.n}"
    if (mean := findings.test.confirmed) is None:
        return (
            f"winner test accuracy: {accuracy.value * 100:.2f} % (95 % interval "
            f"{accuracy.low * 100:.2f} to {accuracy.high * 100:.2f} %, {n}; one run, not "
            "confirmed)"
        )
    if list_lost(findings.search, choice.winner.number):
        ends = "no interval, since others diverged or failed"
    elif mean.is_known:
        ends = f"95 % interval over seeds and examples {mean.low * 100:.2f} to "
        ends += f"{mean.high * 100:.2f} %"
    else:
        ends = f"no interval from fewer than {FEWEST} re-runs"
    return (
        f"winner test accuracy: {mean.value * 100:.2f} % (mean of "
        f"{count_reruns(findings.search, choice.winner.number)}, {ends}, {n})"
    )


def count_reruns(search: Search, number: int) -> str:
    """Return how many re-runs of a trial are complete: `5 re-runs`, or `4 of 5 re-runs`."""
    complete = len(group_reruns(search)[number])
    of = sum(run.of == number for run in search.reruns)
    return f"{complete} of {of} re-runs" if complete < of else f"{complete} re-runs"


def _list_unreadable(unreadable: Sequence[str]) -> str:
    lines = [f"> - {escape_markdown(redact(text))}" for text in unreadable]
    return "\n".join(
        [
            "> [!WARNING]",
            "> **This report is not complete**: the following cannot be read.",
            *lines,
        ]
    )


def write_title(findings: Findings) -> str:
    """Return the title, a warning if the data are synthetic, and the question."""
    search = findings.search
    name = search.space if search.name == search.space else f"{search.space} ({search.name})"
    mark = "SYNTHETIC DATA: " if search.is_synthetic else ""
    parts = [f"# {mark}{escape_markdown(name)}, report of a search"]
    if search.is_synthetic:
        parts.append(
            "> [!WARNING]\n> **SYNTHETIC DATA.** A program generated the examples: the numbers "
            "say nothing about real data and must not be compared with published ones."
        )
    if question := search.tags.get("question"):
        parts.append(f"**Question.** {escape_markdown(question)}")
    return "\n\n".join(parts)


def write_summary(findings: Findings) -> str:
    """Return what was run and which trial is the winner, in one paragraph."""
    search, choice = findings.search, findings.choice
    if not search.trials and search.unfinished:
        return (
            f"**No trial is recorded yet**: {search.unfinished}. Where the storage has trials "
            "that the tracking server lacks, `python -m cluster.tracking rebuild FOLDER` "
            "writes them."
        )
    if not search.trials:
        return "**This search is empty**: no trial is recorded, so there is nothing to report."
    sentences = [_describe_trials(search), describe_most_common(search)]
    if search.unfinished:
        sentences.append(f"**It is unfinished**: {search.unfinished}.")
    if choice is None:
        why = explain_no_winner(search)
        sentences.append(
            f"**{why.capitalize()}**: there is no winner, and the test set is not opened."
        )
        return " ".join(filter(None, sentences))
    sentences.append(_describe_winner(findings, choice))
    if not choice.is_complete:
        sentences.append(
            "**No trial is complete**: the winner was chosen among trials stopped early."
        )
    if not findings.has_test:
        sentences.append(
            "This search has no test set: the score is optimistically biased, since the winner "
            "was selected by it."
        )
    accuracy = findings.test.accuracy
    if accuracy is not None and findings.others:
        sentences.append(
            f"**{_count_searches(len(findings.others))} of the same data "
            f"{'has' if len(findings.others) == 1 else 'have'} opened this test set as well** "
            "(see its use)."
        )
    if choice.is_confirmed:
        sentences.append(judge_default(search, findings.test))
    elif accuracy is not None:
        sentences.append(
            f"Its predictions are correct for {accuracy.correct:,} of {accuracy.n:,} test "
            "examples, which were not used to choose it."
        )
    return " ".join(filter(None, sentences))


def _count_searches(n: int) -> str:
    return "One other search" if n == 1 else f"{n} other searches"


def _describe_trials(search: Search) -> str:
    tags = search.tags
    counts = [
        f"{n:,} {word}"
        for word in ("complete", "stopped", "diverged", "failed", "unfinished")
        if (n := sum(trial.outcome == word for trial in search.trials))
    ]
    wanted, full = tags.get("trials", ""), tags.get("reports", "")
    requested = f" ({int(wanted):,} requested)" if wanted.isdigit() else ""
    length = f" of up to {format_count(int(full), 'report')}" if full.isdigit() else ""
    settings = ", ".join(
        f"{key} {tags[key]}" for key in ("sampler", "scheduler", "seed") if key in tags
    )
    goal = "highest" if search.mode == "max" else "lowest"
    return (
        f"This search ran {format_count(len(search.trials), 'trial')}{requested}{length}"
        f"{f' ({settings})' if settings else ''}: {join_words(counts)}. They took "
        f"{format_duration(sum_device_seconds(search.trials))} of device time. "
        f"The best trial is the one with the {goal} {format_code(search.metric)}."
    )


def _describe_winner(findings: Findings, choice: Choice) -> str:
    winner, model = choice.winner, choice.model
    report = model.metrics.get("best_report")
    validation = findings.sizes.get("validation")
    metric = findings.search.metric
    on = f" on {validation:,} validation examples" if validation else ""
    if choice.is_confirmed:
        scores = score_reruns(findings.search)[winner.number]
        return (
            f"The winner is trial {winner.number} ({format_code(winner.name)}), with the best "
            f"mean over new seeds: {format_score(float(np.mean(scores)), metric)} in "
            f"{count_reruns(findings.search, winner.number)}{on}. Its model is the re-run that is "
            f"best on validation, {model.label} ({format_code(model.name)})."
        )
    return (
        f"The winner is trial {winner.number} ({format_code(model.name)}) with "
        f"{format_score(model.metrics['score'], metric)}"
        f"{f' at report {report:.0f}' if report is not None else ''}{on}, the best of "
        f"{format_count(len(choice.candidates), 'candidate')}: one run, not confirmed."
    )


def describe_test_set(findings: Findings, openings: Sequence[Mapping[str, Any]]) -> str | None:
    """Return when the test set was opened and for what; `openings` are all on record."""
    if findings.choice is None or not (findings.has_test or openings or findings.others):
        return None
    text = describe_openings(openings, findings.others)
    if findings.test.missing:
        text = (
            f"There is no test accuracy for {findings.choice.model.title}: "
            f"{findings.test.missing}. {text}"
        )
    if has_winner_changed(openings):
        text += (
            " The winner changed in between, and the test accuracy above is that of the last one. "
            "Choosing a winner by these results would turn the test set into a validation set."
        )
    return text


def write_provenance(findings: Findings) -> str:
    """Return what is needed to repeat the search: command, versions, data and settings."""
    search, tags = findings.search, findings.search.tags
    sizes = ", ".join(f"{n:,} {split}" for split, n in findings.sizes.items())
    data = [tags.get("source", ""), tags.get("data_fingerprint", ""), sizes]
    rows = (
        ("versions", ", ".join(f"{name} {v}" for name, v in search.versions.items())),
        ("git commit", tags.get("git_commit", "not recorded")),
        ("data", "; ".join(part for part in data if part) or "not recorded"),
        ("hardware", tags.get("hardware", "")),
        ("sampler", tags.get("sampler", "")),
        ("scheduler", tags.get("scheduler", "")),
        ("seed", tags.get("seed", "")),
        ("MLflow run", f"{search.name} ({search.run_id})"),
    )
    table = to_markdown(Table(("item", "value"), tuple(row for row in rows if row[1]), "ll"))
    command = " ".join(redact(tags.get("command", "")).split())
    return f"{format_block(command, 'sh')}\n\n{table}" if command else table
