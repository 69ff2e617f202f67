"""The contents of a report: its chapters in order, written from what the tracking server has."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from cluster.storage.redaction import redact
from reports.assemble import (
    Findings,
    Report,
    assemble_report,
    describe_test_set,
    write_provenance,
)
from reports.chapters import audit, budget, classes, exhibits, next_steps, parts, size
from reports.chapters.best import compare_with_default, write_best_trials
from reports.chapters.classes import read_class_names
from reports.chapters.comparison import chapter as comparison
from reports.chapters.comparison import published, tuned
from reports.chapters.comparison.arms import find_arms
from reports.chapters.comparison.groups import find_enqueued, group_trials
from reports.chapters.confirmation import chapter as confirmation
from reports.chapters.curves import chapter as curves
from reports.chapters.ensembles import chapter as ensembles
from reports.chapters.hyperparameters import chapter as hyperparameters
from reports.chapters.hyperparameters import importance, parallel
from reports.chapters.left_out import write_left_out
from reports.chapters.outcomes import chapter as outcomes
from reports.chapters.outcomes import failures, timeline
from reports.read.holdout_log import read_other_openings
from reports.read.opened_test import CLOSED, OpenedTest, open_test
from reports.read.predictions import count_examples, list_splits
from reports.read.records import Tracker
from reports.read.settings import restore_tags
from reports.read.space import Parameter, read_space
from reports.read.winner import Choice, choose_winner
from reports.records import Search
from reports.write.labels import choose_fonts, collect_replaced, describe_replaced
from reports.write.safe import escape_markdown
from reports.write.sections import Section, join_paragraphs
from reports.write.tables import format_count
from trainables.errors import UnreadableError

OUTCOMES = ("complete", "stopped", "diverged", "failed")
Chapter = tuple[str, Callable[[], Section | str | None]]
"""Heading, and a function that writes the content."""


def collect_findings(
    tracker: Tracker, search: Search, again: bool = False, early: bool = False
) -> Findings:
    """Choose the winner on validation, and only then open its test predictions.

    `again` (`--open-test-again`) opens them even if they were opened before for another winner,
    `early` (`--open-test`) even if the search is unfinished. What cannot be read is part of the
    findings, and nothing is opened then.
    """
    unreadable = []
    try:
        search = restore_tags(tracker, search)
    except UnreadableError as error:
        unreadable.append(str(error))
    choose_fonts(_list_texts(search))
    choice = choose_winner(search)
    splits: list[str] = []
    sizes: dict[str, int] = {}
    try:
        splits = list_splits(tracker, search)
        sizes = count_examples(tracker, search)
        _check_complete(search)
        test = open_test(tracker, search, choice, again, early)
    except UnreadableError as error:
        unreadable.append(str(error))
        model = choice.model if choice else None
        test = OpenedTest(tracker, search, model, missing=CLOSED, is_unreadable=True)
    others = read_other_openings(tracker, search)
    return Findings(search, choice, test, sizes, tuple(splits), tuple(unreadable), others)


def _check_complete(search: Search) -> None:
    """Raise UnreadableError where the server lacks trials that a search has recorded there.

    Another trial than the deleted winner would win, and open the test set.
    """
    found = Counter(trial.outcome for trial in search.trials)
    recorded = {outcome: int(search.metrics.get(outcome, 0)) for outcome in OUTCOMES}
    missing = sum(max(0, recorded[outcome] - found[outcome]) for outcome in OUTCOMES)
    if missing:
        raise UnreadableError(
            f"{format_count(missing, 'trial')} of {search.name} that the search has recorded "
            f"{'is' if missing == 1 else 'are'} missing on the tracking server: their runs were "
            "deleted, or not accepted. Restore them (`mlflow runs restore`), or write the search "
            "again with `python -m cluster.tracking rebuild FOLDER`."
        )


def write_report(
    tracker: Tracker, findings: Findings, ensemble: bool = False, more: Sequence[Chapter] = ()
) -> Report:
    """Return the whole report; `ensemble` adds its chapter, `more` are chapters on the winner.

    A chapter that needs something unreadable says so, and the report lists all of that.
    """
    chapters = _list_chapters(tracker, findings, ensemble, more)
    written, unreadable = [], dict.fromkeys(findings.unreadable)
    for heading, write in chapters:
        section, error = _write_chapter(write)
        written.append((heading, section))
        unreadable |= dict.fromkeys([error] if error else [])
    empty = [heading for heading, section in written if section is None]
    if findings.choice is not None and (text := write_left_out(empty)):
        written.append(("Chapters left out", Section(text)))
    return assemble_report(replace(findings, unreadable=tuple(unreadable)), written)


def _write_chapter(write: Callable[[], Section | str | None]) -> tuple[Section | None, str]:
    with collect_replaced() as replaced:
        try:
            content = write()
        except UnreadableError as error:
            text = escape_markdown(redact(str(error)))
            return Section(f"**This chapter is not available**: {text}"), str(error)
    section = Section(content) if isinstance(content, str) else content
    if section is None or not section.text:
        return None, ""
    text = join_paragraphs(section.text, describe_replaced(replaced))
    return replace(section, text=text), section.unreadable


def _list_texts(search: Search) -> Iterator[str]:
    # What figures show: names and values of hyperparameters, metrics, classes and devices.
    yield from (search.metric, search.name, *search.compare, search.tags.get("published", ""))
    yield from read_class_names(search)
    for trial in search.trials:
        yield from trial.params
        yield from trial.params.values()
        yield trial.tags.get("spans", "")


def _list_chapters(
    tracker: Tracker, findings: Findings, ensemble: bool, more: Sequence[Chapter]
) -> Iterator[Chapter]:
    search, choice, test = findings.search, findings.choice, findings.test
    if search.trials:
        yield "Next steps", lambda: next_steps.write_next_steps(search, choice)
        yield "Key facts", lambda: next_steps.write_key_facts(search, choice, test)
    if choice is not None:
        yield from _list_results(tracker, findings, choice)
        yield from more
        if ensemble:
            yield "Ensembles", lambda: ensembles.write_section(tracker, search, test)
        yield from _list_analyses(tracker, search, choice)
    yield "Outcomes and cost", lambda: outcomes.write_section(search)
    yield "Timeline", lambda: timeline.write_section(search)
    yield "Use of the test set", lambda: describe_test_set(findings, test.read_openings())
    yield "Provenance", lambda: write_provenance(findings)
    yield "Appendix: failures", lambda: failures.write_section(search)


def _list_results(tracker: Tracker, findings: Findings, choice: Choice) -> Iterator[Chapter]:
    search, test = findings.search, findings.test
    validation = findings.sizes.get("validation")
    yield "Best trials", lambda: write_best_trials(search, choice, validation)
    arms = find_arms(search)
    if {run.of for run in search.reruns} - {arm.best.number for arm in arms if arm.best}:
        yield "Confirmation on new seeds", lambda: confirmation.write_section(search, test)
    yield "Winner and default", lambda: compare_with_default(search, choice, test)
    if arms:
        yield "Comparison", lambda: tuned.write_section(search, test)
    else:
        yield "Comparison", lambda: comparison.write_section(tracker, search, validation)
    groups = [arm.group for arm in arms if arm.group.trials] or group_trials(search)
    column = published.find_column(search, groups) if len(groups) > 1 else None
    yield "Published results", lambda: published.write_section(search, choice, test, column)
    yield "Results per class", lambda: classes.write_section(tracker, search, choice, test)
    yield (
        "Results per part of the data",
        lambda: parts.write_section(tracker, search, choice, test),
    )
    yield "Outputs of the winner", lambda: exhibits.write_section(tracker, choice)


def _list_analyses(tracker: Tracker, search: Search, choice: Choice) -> Iterator[Chapter]:
    @cache
    def read() -> tuple[tuple[Parameter, ...], Mapping[str, float]]:
        space = read_space(tracker, search)
        # Where all trials were enqueued, the comparison has shown the compared hyperparameters.
        if len(find_enqueued(search)) == len(search.trials):
            space = tuple(p for p in space if p.field not in search.compare)
        return importance.sort_by_importance(tracker, search, space)

    yield "Training curves", lambda: curves.write_section(tracker, search, choice)
    yield "Hyperparameters", lambda: hyperparameters.write_section(search, choice, read()[0])
    yield "Hyperparameter importance", lambda: importance.write_section(tracker, search, *read())
    yield "Parallel coordinates", lambda: parallel.write_section(search, choice, read()[0])
    yield "Search budget", lambda: None if find_arms(search) else budget.write_section(search)
    yield "Model size", lambda: size.write_section(search, choice)
    yield "Check of early stopping", lambda: audit.write_section(tracker, search, choice)
