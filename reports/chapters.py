"""The chapters of a report in their order, written from what the tracking server says."""

from collections.abc import Iterator

from reports import (
    audit,
    budget,
    classes,
    confirmation,
    curves,
    hyperparameters,
    importance,
    parallel,
    size,
    timeline,
)
from reports import ensemble as ensembles
from reports.best import against_default, best_trials, published
from reports.comparison import comparison
from reports.failures import failures
from reports.markdown import Findings, Report, assembled, provenance, test_set
from reports.outcomes import outcomes
from reports.records import Tracker, read_openings
from reports.search import Search
from reports.sections import Section
from reports.space import read_space
from reports.winner import Choice, Opened, choose, data_sizes, open_test

Chapter = tuple[str, Section | str | None]


def findings(tracker: Tracker, search: Search) -> Findings:
    """Pick the winner on validation, and only then open its test predictions."""
    choice = choose(search)
    sizes = data_sizes(tracker, search)
    test = open_test(tracker, search, choice.winner) if choice else Opened(None, search.openings)
    return Findings(search, choice, test, sizes)


def write(
    tracker: Tracker, found: Findings, ensemble: bool = False, again: bool = False
) -> Report:
    """The whole report; `ensemble` adds its chapter, `again` opens the test set for others too."""
    search, choice = found.search, found.choice
    chapters: list[Chapter] = []
    if choice is not None:
        chapters += _answers(tracker, found, choice, again)
        if ensemble:
            chapters.append(("Ensembles", ensembles.section(tracker, search, again)))
        chapters += _pictures(tracker, search, choice)
    chapters += [
        ("Outcomes and cost", outcomes(search)),
        ("Timeline", timeline.section(search)),
        ("The test set", test_set(found, read_openings(tracker, search))),
        ("How it was made", provenance(found)),
        ("Appendix: failures", failures(search)),
    ]
    return assembled(found, chapters)


def _answers(tracker: Tracker, found: Findings, choice: Choice, again: bool) -> Iterator[Chapter]:
    search, test = found.search, found.test
    yield "Best trials", best_trials(search, choice)
    yield "Confirmation on fresh seeds", confirmation.section(tracker, search, again)
    yield "Against the default", against_default(search, choice, found.sizes.get("validation"))
    yield "Comparison", comparison(tracker, search)
    yield "Beside published numbers", published(search, choice, test)
    yield "By class", classes.section(tracker, search, choice, test)


def _pictures(tracker: Tracker, search: Search, choice: Choice) -> Iterator[Chapter]:
    space = read_space(tracker, search)
    yield "Training curves", curves.section(tracker, search, choice)
    yield "Hyperparameters", hyperparameters.section(search, choice, space)
    yield "Importance", importance.section(search, space)
    yield "Parallel coordinates", parallel.section(search, choice, space)
    yield "Budget", budget.section(search)
    yield "Size", size.section(search, choice)
    yield "Early stopping audited", audit.section(tracker, search, choice)
