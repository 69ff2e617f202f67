"""Results of the winner per part of the data, such as problem types or sources."""

import numpy as np

from reports.numbers.statistics import Proportion, wilson_interval
from reports.read.opened_test import OpenedTest
from reports.read.predictions import Array, Examples, find_correct, read_examples, read_predictions
from reports.read.records import Tracker
from reports.read.winner import Choice
from reports.records import Search
from reports.write.sections import join_paragraphs
from reports.write.tables import Table, drop_empty_columns, to_markdown

SHOWN = 60  # parts in the table: the worst ones


def write_section(
    tracker: Tracker, search: Search, choice: Choice, test: OpenedTest
) -> str | None:
    """Return the accuracy per part with intervals, best first; None if the data have no parts."""
    examples = read_examples(tracker, search, "validation")
    if examples is None or examples.groups is None:
        return None
    found = read_predictions(tracker, search, [choice.model], examples)
    if not found.runs:
        return None
    on_validation = score_parts(examples, found.outputs[0])
    opened = test.read_winner_predictions()
    on_test = score_parts(opened.examples, opened.outputs[0]) if opened else {}
    order = sorted(on_validation, key=lambda part: (-on_validation[part].value, part))
    order += sorted(set(on_test) - set(order))
    rows = tuple(
        (part, *_format_cells(on_validation.get(part)), *_format_cells(on_test.get(part)))
        for part in order[-SHOWN:]
    )
    about = ("part", "validation", "95 % interval", "examples")
    header = (*about, "test", "test 95 % interval", "test examples")
    left_out = len(order) - len(rows)
    return join_paragraphs(
        f"Share of correct predictions of the winner, {choice.model.title}, per part of the data "
        "(Wilson intervals), sorted by validation, worst last.",
        to_markdown(drop_empty_columns(Table(header, rows, "lrrrrrr"))),
        f"{left_out} parts with a higher share are not shown." if left_out > 0 else None,
    )


def score_parts(examples: Examples, output: Array) -> dict[str, Proportion]:
    """Return the share of correct predictions per part."""
    if examples.groups is None:
        return {}
    hits = find_correct(output, examples.targets)
    return {
        str(part): wilson_interval(int(hits[examples.groups == part].sum()), int(count))
        for part, count in zip(*np.unique(examples.groups, return_counts=True), strict=True)
    }


def _format_cells(found: Proportion | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    interval = f"{found.low * 100:.1f} to {found.high * 100:.1f} %"
    return f"{found.value * 100:.1f} %", interval, f"{found.n:,}"
