"""Puts a report together: chapters in order, each with its text and its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from cluster.storage.redaction import redact
from reports.chapters.outcomes.chapter import sum_device_seconds
from reports.chapters.outcomes.failures import describe_most_common
from reports.read.holdout_log import describe_openings, has_winner_changed
from reports.read.opened_test import OpenedTest
from reports.read.winner import Choice, explain_no_winner
from reports.records import Search
from reports.write.safe import escape_markdown
from reports.write.sections import Section
from reports.write.tables import (
    Table,
    duration_text,
    format_count,
    format_score,
    join_words,
    to_markdown,
)


@dataclass(frozen=True)
class Findings:
    """What the first page of a report is written from."""

    search: Search
    choice: Choice | None  # None: no trial may win
    test: OpenedTest
    sizes: Mapping[str, int]  # examples per split


@dataclass(frozen=True)
class Report:
    """A whole report: markdown for GitHub, and the figures that it shows by name."""

    text: str
    figures: Mapping[str, Figure]
    files: Mapping[str, bytes]  # pictures that are there already
    tables: Mapping[str, Table]  # that are in no chapter


def assemble_report(
    findings: Findings, chapters: Sequence[tuple[str, Section | str | None]]
) -> Report:
    """Title, summary and the line to quote, then the chapters that have something to say."""
    parts = [write_title(findings), write_summary(findings)]
    if findings.test.accuracy is not None:
        parts.append(format_winner(findings))
    figures: dict[str, Figure] = {}
    files: dict[str, bytes] = {}
    tables: dict[str, Table] = {}
    for heading, chapter in chapters:
        section = Section(chapter) if isinstance(chapter, str) else chapter
        if section is None or not section.text:
            continue
        parts.append(f"## {heading}\n\n{section.text}")
        figures |= section.figures
        files |= section.files
        tables |= section.tables
    return Report("\n\n".join(parts) + "\n", figures, files, tables)


def format_winner(findings: Findings) -> str:
    """The one number to quote, or why there is none."""
    choice, accuracy = findings.choice, findings.test.accuracy
    if choice is None:
        return f"no winner: {explain_no_winner(findings.search)}"
    if accuracy is None:
        score = format_score(choice.model.metrics["score"], findings.search.metric)
        why = findings.test.missing if "test" in findings.sizes else "no test set is kept"
        return f"winner: {choice.model.title}, {findings.search.metric} {score}; {why}"
    return (
        f"winner test accuracy: {accuracy.value * 100:.2f} % (95 % interval "
        f"{accuracy.low * 100:.2f} to {accuracy.high * 100:.2f} %, n = {accuracy.n})"
    )


def write_title(findings: Findings) -> str:
    search = findings.search
    name = search.space if search.name == search.space else f"{search.space} ({search.name})"
    parts = [f"# {'SYNTHETIC DATA: ' if search.is_synthetic else ''}{name}, report of a search"]
    if search.is_synthetic:
        parts.append(
            "> [!WARNING]\n> **SYNTHETIC DATA.** A program drew the examples; no number here says "
            "anything about real data or stands beside a published one."
        )
    if question := search.tags.get("question"):
        parts.append(f"**Question.** {escape_markdown(question)}")
    return "\n\n".join(parts)


def write_summary(findings: Findings) -> str:
    """What was done and what was found, in one paragraph."""
    search, choice = findings.search, findings.choice
    if not search.trials:
        return (
            "**This search is empty**: it has no trial on record, so there is nothing to report."
        )
    tags = search.tags
    counts = [
        f"{n:,} {word}"
        for word in ("complete", "stopped", "diverged", "failed", "unfinished")
        if (n := sum(trial.outcome == word for trial in search.trials))
    ]
    wanted, full = tags.get("trials", ""), tags.get("reports", "")
    asked = f" ({int(wanted):,} asked for)" if wanted.isdigit() else ""
    length = f" of up to {format_count(int(full), 'report')}" if full.isdigit() else ""
    how = ", ".join(
        f"{what} {tags[key]}"
        for what, key in (("sampler", "sampler"), ("scheduler", "scheduler"), ("seed", "seed"))
        if key in tags
    )
    goal = "highest" if search.mode == "max" else "lowest"
    text = (
        f"This search has run {format_count(len(search.trials), 'trial')}{asked}{length}"
        f"{f' ({how})' if how else ''}: {join_words(counts)}. They took "
        f"{duration_text(sum_device_seconds(search.trials))}. "
        f"It looked for the {goal} `{search.metric}`. "
    )
    if failed := describe_most_common(search):
        text += f"{failed} "
    if search.unfinished:
        text += f"**It is unfinished**: {search.unfinished}. "
    if choice is None:
        why = explain_no_winner(search)
        return text + f"**{why.capitalize()}**: there is no winner, and no test set was opened."
    winner, model = choice.winner, choice.model
    at = model.metrics.get("best_report")
    validation = findings.sizes.get("validation")
    why = f"the best of {format_count(len(choice.candidates), 'candidate')}"
    if choice.is_confirmed:
        why = "chosen for its mean over fresh seeds"
    which = f"The winner is trial {winner.number} (`{model.name}`)"
    if model is not winner:
        which = (
            f"The winner is trial {winner.number}, which was itself {winner.outcome}; its model "
            f"is the best of its complete re-runs, {model.label} (`{model.name}`),"
        )
    text += (
        f"{which} with "
        f"{format_score(model.metrics['score'], search.metric)}"
        f"{f' at report {at:.0f}' if at is not None else ''}"
        f"{f' on {validation:,} validation examples' if validation else ''}, {why}."
    )
    if not choice.is_complete:
        text += " **No trial is complete**: the winner was picked among those stopped early."
    if "test" not in findings.sizes:
        text += " No test set is kept: this score, by which it was chosen, flatters it."
    if (accuracy := findings.test.accuracy) is not None:
        text += (
            f" On {accuracy.n:,} test examples that played no part in the choice it is right "
            f"{accuracy.correct:,} times."
        )
    return text


def describe_test_set(findings: Findings, openings: Sequence[Mapping[str, Any]]) -> str | None:
    """When the test set was opened and for what; `openings` are all there are by now."""
    if findings.choice is None or not ("test" in findings.sizes or openings):
        return None
    text = describe_openings(openings)
    if findings.test.missing:
        text = (
            f"There is no test accuracy of {findings.choice.model.title}: "
            f"{findings.test.missing}. {text}"
        )
    if has_winner_changed(openings):
        text += (
            " The winner changed in between, so the number above is that of the last winner; "
            "choosing between openings would make the test set a second validation set."
        )
    return text


def write_provenance(findings: Findings) -> str:
    """What someone needs to repeat the search."""
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
    table = to_markdown(Table(("what", "value"), tuple(row for row in rows if row[1]), "ll"))
    command = " ".join(redact(tags.get("command", "")).split())
    return f"```sh\n{command}\n```\n\n{table}" if command else table
