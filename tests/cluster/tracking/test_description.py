"""The description of a run in MLflow is composed of parts."""

from __future__ import annotations

from cluster.tracking.description import BEST, NOTE, REPORT, change_description, escape_line


def test_a_part_replaces_itself_alone() -> None:
    tags: dict[str, str] = {"other": "x"}
    for part, text in ((REPORT, "report"), (BEST, "first"), (BEST, "second")):
        tags |= change_description(tags, part, text)
    assert tags[NOTE] == "second\n\nreport"
    tags |= change_description(tags, REPORT, "later")
    assert tags[NOTE] == "second\n\nlater"
    assert tags["other"] == "x"


def test_nothing_of_a_line_is_markup() -> None:
    assert escape_line("# a\n*b* <c>") == r"\# a \*b\* \<c\>"
