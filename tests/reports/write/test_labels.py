"""Labels of figures show the user's text as it is, or a number that the report explains."""

import io
import warnings

import pytest
from matplotlib.figure import Figure

import reports.write.labels
from reports.write.labels import (
    BASE,
    choose_fonts,
    collect_replaced,
    describe_replaced,
    list_chosen_fonts,
    to_label,
)
from reports.write.style import figure_style
from tests.support.hostile_texts import HOSTILE


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let matplotlib find its own font alone."""
    monkeypatch.setattr(reports.write.labels, "_list_fonts", lambda: ())


@pytest.mark.usefixtures("bare_machine")
def test_any_text_is_drawn_without_a_warning() -> None:
    choose_fonts(HOSTILE)
    with warnings.catch_warnings(action="error"), figure_style(), collect_replaced():
        figure = Figure(figsize=(20, 20))
        axes = figure.subplots()
        for text in HOSTILE:
            axes.plot([0, 1], [0, 1], label=to_label(text))
        axes.set_xticks(range(len(HOSTILE)), [to_label(text, 12) for text in HOSTILE])
        axes.set_title(to_label("$10_to_$20"))
        axes.legend()
        figure.savefig(io.BytesIO(), format="png")
    assert axes.get_title() == "$10_to_$20"
    legend = axes.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == len(HOSTILE)  # also those that begin with an underscore


@pytest.mark.usefixtures("bare_machine")
def test_text_without_a_font_is_numbered_and_explained() -> None:
    choose_fonts(["日本 #1"])
    assert to_label("日本 #1") == r"\u65e5\u672c #1"
    with collect_replaced() as replaced:
        labels = [to_label(text) for text in ("日本 #1", "cats|dogs", "日本 #1", "한국")]
        assert labels == ["[1]", "cats|dogs", "[1]", "[2]"]
        assert to_label("中", instead="class 3") == "class 3"
    text = describe_replaced(replaced)
    assert r"\[1\] is 日本 #1; \[2\] is 한국; class 3 is 中: no font of this machine" in text
    assert describe_replaced({}) == ""


def test_a_font_that_has_the_characters_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {BASE: frozenset("abc "), "Some Kanji": frozenset("日本"), "Latin": frozenset("é")}
    monkeypatch.setattr(reports.write.labels, "_list_fonts", lambda: ("Latin", "Some Kanji"))
    monkeypatch.setattr(reports.write.labels, "_list_characters", known.__getitem__)
    choose_fonts(["日本", "abc"])
    assert list_chosen_fonts() == (BASE, "Some Kanji")
    assert to_label("日本 abc") == "日本 abc"
    choose_fonts(["abc"])
    assert list_chosen_fonts() == (BASE,)


def test_a_long_name_keeps_its_ends() -> None:
    assert to_label("learning_rate_of_the_second_optimizer", 20) == "learning_rate…imizer"
