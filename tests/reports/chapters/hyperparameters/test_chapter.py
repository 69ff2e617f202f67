"""The table of hyperparameters: large spaces in part, ranges that depend on others, warnings."""

import pytest

from reports.chapters.hyperparameters.axis_plots import PANELS
from reports.chapters.hyperparameters.chapter import CHOICES, ROWS, WARNED, write_section
from reports.read.space import Parameter
from reports.read.winner import Choice
from reports.write.sections import Section
from tests.support.make_search import make_search, make_trial


def describe(space: tuple[Parameter, ...], values: dict[str, list[object]]) -> Section:
    """Return the chapter on trials whose scores rise with their number."""
    count = len(next(iter(values.values())))
    trials = [
        make_trial(n, n / count, params={name: of[n] for name, of in values.items()})
        for n in range(count)
    ]
    section = write_section(make_search(*trials), Choice(tuple(trials[::-1]), True), space)
    assert section is not None
    return section


def test_a_large_space_is_shown_in_part_and_whole_as_a_table() -> None:
    names = [f"h{n}" for n in range(300)]
    space = tuple(Parameter(name, 0.0, 1.0) for name in names)
    found = describe(space, {name: [0.5] * 20 + [1.0] * 10 for name in names})
    figure = found.figures["hyperparameters"]
    assert sum(axes.get_visible() for axes in figure.axes) == PANELS
    assert f"{300 - PANELS} further hyperparameters are not drawn." in found.text
    assert found.text.count("\n| h") == ROWS + 1  # with the header
    assert f"{300 - ROWS} further hyperparameters are in" in found.text
    assert len(found.tables["all_hyperparameters"].rows) == 300
    assert f"{300 - WARNED} further hyperparameters." in found.text
    assert len(found.text) < 10_000


def test_many_choices_are_counted() -> None:
    kind = Parameter("kind", choices=tuple(f"c{n}" for n in range(1000)))
    found = describe((kind,), {"kind": [f"c{n}" for n in range(20)]})
    shown = ", ".join(kind.choices[:CHOICES])
    assert f"| kind | {shown} and {1000 - CHOICES} more |" in found.text


def test_an_end_of_a_range_that_varies_is_not_checked() -> None:
    values: dict[str, list[object]] = {"width": [16, 32] * 10 + [64] * 10}
    fixed = describe((Parameter("width", 4, 64, whole=True),), values)
    assert "**Boundary warnings**" in fixed.text
    assert "| width | 4 to 64 | 64 |" in fixed.text
    varying = describe((Parameter("width", 4, 64, whole=True, varies=True),), values)
    assert "oundary warning" not in varying.text
    assert "| width | 4 to 64, or more | 64 |" in varying.text
    assert "the range depends on other hyperparameters" in varying.text


@pytest.mark.parametrize("name", ["a|b", "<b>x", "$x$", "`y`"])
def test_names_of_the_user_stay_as_they_are(name: str) -> None:
    found = describe((Parameter(name, 0.0, 1.0, own_field=name),), {name: [0.0, 0.5, 1.0]})
    assert found.figures["hyperparameters"].axes[0].get_title() == name
