"""The contents of a report: its chapters in order, written from what the tracking server has."""

from collections.abc import Iterator, Sequence

from reports.assemble import (
    Findings,
    Report,
    assemble_report,
    describe_test_set,
    write_provenance,
)
from reports.chapters import audit, budget, classes, exhibits, parts, size
from reports.chapters.best import compare_with_default, write_best_trials
from reports.chapters.comparison import chapter as comparison
from reports.chapters.comparison import published
from reports.chapters.comparison.groups import find_enqueued, group_trials
from reports.chapters.confirmation import chapter as confirmation
from reports.chapters.curves import chapter as curves
from reports.chapters.ensembles import chapter as ensembles
from reports.chapters.hyperparameters import chapter as hyperparameters
from reports.chapters.hyperparameters import importance, parallel
from reports.chapters.outcomes import chapter as outcomes
from reports.chapters.outcomes import failures, timeline
from reports.read.opened_test import open_test
from reports.read.predictions import count_examples
from reports.read.records import Tracker
from reports.read.space import read_space
from reports.read.winner import Choice, choose_winner
from reports.records import Search
from reports.write.sections import Section

Chapter = tuple[str, Section | str | None]  # heading and content


def collect_findings(
    tracker: Tracker, search: Search, again: bool = False, early: bool = False
) -> Findings:
    """Choose the winner on validation, and only then open its test predictions.

    `again` (`--open-test-again`) opens them even if they were opened before for another winner,
    `early` (`--open-test`) even if the search is unfinished.
    """
    choice, sizes = choose_winner(search), count_examples(tracker, search)
    test = open_test(tracker, search, choice.model if choice else None, again, early)
    return Findings(search, choice, test, sizes)


def write_report(
    tracker: Tracker, findings: Findings, ensemble: bool = False, more: Sequence[Chapter] = ()
) -> Report:
    """Return the whole report; `ensemble` adds its chapter, `more` are chapters on the winner."""
    search, choice = findings.search, findings.choice
    chapters: list[Chapter] = []
    if choice is not None:
        chapters += [*_write_results(tracker, findings, choice), *more]
        if ensemble:
            chapters.append(("Ensembles", ensembles.write_section(tracker, search, findings.test)))
        chapters += _write_analyses(tracker, search, choice)
    chapters += [
        ("Outcomes and cost", outcomes.write_section(search)),
        ("Timeline", timeline.write_section(search)),
        ("Use of the test set", describe_test_set(findings, findings.test.read_openings())),
        ("Provenance", write_provenance(findings)),
        ("Appendix: failures", failures.write_section(search)),
    ]
    return assemble_report(findings, chapters)


def _write_results(tracker: Tracker, findings: Findings, choice: Choice) -> Iterator[Chapter]:
    search, test = findings.search, findings.test
    validation = findings.sizes.get("validation")
    yield "Best trials", write_best_trials(search, choice, validation)
    yield "Confirmation on new seeds", confirmation.write_section(tracker, search, test)
    yield "Winner and default", compare_with_default(search, choice, validation)
    yield "Comparison", comparison.write_section(tracker, search, validation)
    groups = group_trials(search)
    column = published.find_column(search, groups) if len(groups) > 1 else None
    yield "Published results", published.write_section(search, choice, test, column)
    yield "Results per class", classes.write_section(tracker, search, choice, test)
    yield "Results per part of the data", parts.write_section(tracker, search, choice, test)
    yield "Outputs of the winner", exhibits.write_section(tracker, choice)


def _write_analyses(tracker: Tracker, search: Search, choice: Choice) -> Iterator[Chapter]:
    space = read_space(tracker, search)
    # Where all trials were enqueued, the comparison has shown the compared hyperparameters.
    if len(find_enqueued(search)) == len(search.trials):
        space = tuple(p for p in space if p.field not in search.compare)
    yield "Training curves", curves.write_section(tracker, search, choice)
    yield "Hyperparameters", hyperparameters.write_section(search, choice, space)
    yield "Hyperparameter importance", importance.write_section(search, space)
    yield "Parallel coordinates", parallel.write_section(search, choice, space)
    yield "Search budget", budget.write_section(search)
    yield "Model size", size.write_section(search, choice)
    yield "Check of early stopping", audit.write_section(tracker, search, choice)
