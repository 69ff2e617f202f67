"""Results of the winner per class, and its confusion matrix."""

import json

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.read.opened_test import OpenedTest
from reports.read.predictions import Array, read_examples, read_predictions
from reports.read.records import Tracker
from reports.read.winner import Choice
from reports.records import Search
from reports.write.labels import to_label
from reports.write.safe import escape_markdown, shorten
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import create_figure, figure_style
from reports.write.tables import NAME, Table, to_markdown

NUMBERED = 16  # at most so many classes: the matrix has numbers in its cells
NAMED = 40  # at most so many classes: their names fit along the axes
ALL_SHOWN = 24  # at most so many classes: the table has all, else the worst and the best
SHOWN = 10  # of the worst, and of the best
PAIRS_SHOWN = 10


def write_section(
    tracker: Tracker, search: Search, choice: Choice, test: OpenedTest
) -> Section | None:
    """Return tables and matrix of the winner; None without class predictions."""
    examples = read_examples(tracker, search, "validation")
    if examples is None:
        return None
    found = read_predictions(tracker, search, [choice.model], examples)
    if not found.runs or found.has_answers:
        return None
    k = found.outputs[0].shape[1]
    names = read_class_names(search)
    if len(names) != k:
        names = [str(c) for c in range(k)]
    answers, guesses = examples.targets, found.outputs[0].argmax(axis=1)
    rows = score_classes(answers, guesses, k)
    header: tuple[str, ...] = ("class", "precision", "recall", "F1", "examples")
    opened = test.read_winner_predictions()
    cells = [[names[c], *_format_scores(rows[c])] for c in range(k)]
    if opened is not None:
        on_test = score_classes(opened.examples.targets, opened.outputs[0].argmax(axis=1), k)
        header = (*header, "test precision", "test recall", "test F1", "test examples")
        for c in range(k):
            cells[c] += _format_scores(on_test[c])
    table = Table(header, tuple(map(tuple, cells)), "l" + "r" * (len(header) - 1))
    order, chosen = select_classes(rows), None
    if len(order) < k:
        chosen = (
            f"The {SHOWN} classes with the lowest and the {SHOWN} with the highest F1 of {k:,}; "
            "all are in `tables/all_classes.csv`."
        )
    matrix = count_confusions(answers, guesses, k)
    most = _describe_confusions(matrix, names)
    text = join_paragraphs(
        f"The winner, {choice.model.title}, on {len(answers):,} validation examples"
        + (" and on test." if opened is not None else "."),
        to_markdown(Table(header, tuple(table.rows[c] for c in order), table.align)),
        chosen,
        embed_figure("confusion", "Confusion matrix of the winner on validation"),
        "On validation; a row is a true class and sums to 100 %.",
        f"Most frequent errors: {most}." if most else "There are no errors on validation.",
    )
    figures = {"confusion": draw_confusion_matrix(search, matrix, names)}
    return Section(text, figures, tables={"all_classes": table} if chosen else {})


def select_classes(rows: NDArray[np.float64]) -> list[int]:
    """Return the classes to show, by the (k, 4) scores of `score_classes`: all or the extremes."""
    k = len(rows)
    if k <= ALL_SHOWN:
        return list(range(k))
    # Ties: more examples first. A class without examples has no score.
    order = sorted((c for c in range(k) if rows[c][3]), key=lambda c: (rows[c][2], -rows[c][3]))
    return order if len(order) <= 2 * SHOWN else [*order[:SHOWN], *order[-SHOWN:]]


def read_class_names(search: Search) -> list[str]:
    """Return the names of the classes; none if no names are recorded."""
    try:
        names = json.loads(search.tags.get("classes", "[]"))
    except ValueError:
        names = []
    return [str(name) for name in names] if isinstance(names, list) else []


def score_classes(answers: Array, guesses: Array, k: int) -> NDArray[np.float64]:
    """Return precision, recall, F1 and number of examples per class, (k, 4); nan for 0 of 0."""
    matrix = count_confusions(answers, guesses, k)
    hits, actual, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        scores = hits / predicted, hits / actual, 2 * hits / (actual + predicted)
    return np.column_stack([*scores, actual])


def count_confusions(answers: Array, guesses: Array, k: int) -> NDArray[np.int64]:
    """Return how many examples of each true class (row) are predicted as each class, (k, k)."""
    cells = np.ravel_multi_index((answers, guesses), (k, k))
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def draw_confusion_matrix(search: Search, matrix: NDArray[np.int64], names: list[str]) -> Figure:
    """Return the confusion matrix with normalized rows, and counts if they fit."""
    k = len(names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(7.0, max(3.0, 0.42 * k if k <= NUMBERED else 0.18 * k))
    with figure_style():
        figure = create_figure(search, side + 1.3, side + 0.3)
        axes = figure.subplots()
        # Square root: errors of 1 % must be visible next to a diagonal of 95 %.
        image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        if k <= NUMBERED:
            for row, column in np.argwhere(matrix > 0):
                dark = np.sqrt(shares[row, column]) > 0.55
                axes.text(
                    column,
                    row,
                    f"{matrix[row, column]:,}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
        if k <= NAMED:
            shown = [to_label(name, 20, f"class {c}") for c, name in enumerate(names)]
            long = max(len(name) for name in shown) > 3
            size = 8 if k <= NUMBERED else 6
            axes.set_xticks(range(k), shown, rotation=90 if long else 0, fontsize=size)
            axes.set_yticks(range(k), shown, fontsize=size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.grid(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
        bar.set_label("share of the true class")
        ticks = (0, 0.01, 0.05, 0.2, 0.5, 1)
        bar.set_ticks(list(np.sqrt(ticks)), labels=[f"{tick * 100:g} %" for tick in ticks])
    return figure


def _format_scores(row: NDArray[np.float64]) -> list[str]:
    shares = ["–" if np.isnan(share) else f"{share * 100:.1f} %" for share in row[:3]]
    return [*shares, f"{row[3]:,.0f}"]


def _escape(name: str) -> str:
    return escape_markdown(shorten(name, NAME))


def _describe_confusions(matrix: NDArray[np.int64], names: list[str]) -> str:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS_SHOWN]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order]
    return ", ".join(
        f"{_escape(names[true])} classified as {_escape(names[guess])} ({wrong[true, guess]:,})"
        for true, guess in pairs
        if wrong[true, guess]
    )
