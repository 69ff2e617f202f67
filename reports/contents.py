"""The chapters of a report in their order, written from what the tracking server says."""

from collections.abc import Iterator, Sequence

from reports.assemble import Findings, Report, assembled, provenance, test_set
from reports.chapters import audit, budget, classes, exhibits, parts, size
from reports.chapters.best import against_default, best_trials
from reports.chapters.comparison import chapter as comparison
from reports.chapters.comparison import published
from reports.chapters.comparison.groups import enqueued, groups
from reports.chapters.confirmation import chapter as confirmation
from reports.chapters.curves import chapter as curves
from reports.chapters.ensembles import chapter as ensembles
from reports.chapters.hyperparameters import chapter as hyperparameters
from reports.chapters.hyperparameters import importance, parallel
from reports.chapters.outcomes import timeline
from reports.chapters.outcomes.chapter import outcomes
from reports.chapters.outcomes.failures import failures
from reports.read.opened_test import open_test
from reports.read.predictions import count_examples
from reports.read.records import Tracker
from reports.read.space import read_space
from reports.read.winner import Choice, choose
from reports.records import Search
from reports.write.sections import Section

Chapter = tuple[str, Section | str | None]


def findings(
    tracker: Tracker, search: Search, again: bool = False, early: bool = False
) -> Findings:
    """Pick the winner on validation, and only then open its test predictions.

    `again` (`--open-test-again`) opens them though they were opened before for another winner,
    `early` (`--open-test`) though the search is unfinished.
    """
    choice, sizes = choose(search), count_examples(tracker, search)
    test = open_test(tracker, search, choice.model if choice else None, again, early)
    return Findings(search, choice, test, sizes)


def write(
    tracker: Tracker, found: Findings, ensemble: bool = False, more: Sequence[Chapter] = ()
) -> Report:
    """The whole report; `ensemble` adds its chapter, `more` are chapters on the winner."""
    search, choice = found.search, found.choice
    chapters: list[Chapter] = []
    if choice is not None:
        chapters += [*_answers(tracker, found, choice), *more]
        if ensemble:
            chapters.append(("Ensembles", ensembles.section(tracker, search, found.test)))
        chapters += _pictures(tracker, search, choice)
    chapters += [
        ("Outcomes and cost", outcomes(search)),
        ("Timeline", timeline.section(search)),
        ("The test set", test_set(found, found.test.read_openings())),
        ("How it was made", provenance(found)),
        ("Appendix: failures", failures(search)),
    ]
    return assembled(found, chapters)


def _answers(tracker: Tracker, found: Findings, choice: Choice) -> Iterator[Chapter]:
    search, test, validation = found.search, found.test, found.sizes.get("validation")
    yield "Best trials", best_trials(search, choice, validation)
    yield "Confirmation on fresh seeds", confirmation.section(tracker, search, found.test)
    yield "Against the default", against_default(search, choice, validation)
    yield "Comparison", comparison.section(tracker, search, validation)
    rows = groups(search)
    placed = published.column(search, rows) if len(rows) > 1 else None
    yield "Beside published numbers", published.section(search, choice, test, placed)
    yield "By class", classes.section(tracker, search, choice, test)
    yield "By part", parts.section(tracker, search, choice, test)
    yield "Shown by the winner", exhibits.section(tracker, choice)


def _pictures(tracker: Tracker, search: Search, choice: Choice) -> Iterator[Chapter]:
    space = read_space(tracker, search)
    if len(enqueued(search)) == len(search.trials):  # a plan, which the comparison has shown
        space = tuple(p for p in space if p.field not in search.compare)
    yield "Training curves", curves.section(tracker, search, choice)
    yield "Hyperparameters", hyperparameters.section(search, choice, space)
    yield "Importance", importance.section(search, space)
    yield "Parallel coordinates", parallel.section(search, choice, space)
    yield "Budget", budget.section(search)
    yield "Size", size.section(search, choice)
    yield "Early stopping audited", audit.section(tracker, search, choice)
