"""Adversarial robustness of the winner: accuracy if an attack changes pixels slightly."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reports.chapters.explain import format_proportion
from reports.numbers.statistics import Proportion, wilson_interval
from reports.read.opened_test import OpenedTest
from reports.records import Search
from reports.trained import models
from reports.trained.crops import SMALL
from reports.trained.winner_model import WinnerModel, find_open_split
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import BLUE, RED, create_figure, figure_style, format_score_axis
from reports.write.tables import Table, to_markdown

EPSILONS = (1, 2, 4, 8)  # of 255
MOST = 400  # examples
MOST_LARGE = 100  # for photographs


def write_section(search: Search, winner: WinnerModel, test: OpenedTest) -> Section:
    """Return table and figure, on test if it was opened for the winner, else on validation."""
    split = find_open_split(test)
    most = MOST if max(winner.predictor.example.shape[2:]) <= SMALL else MOST_LARGE
    pixels, targets = winner.sample(split, most)
    n = len(targets)
    one, many = models.attack(winner.predictor, pixels, targets, EPSILONS)
    clean = np.asarray(winner.predictor(pixels)).argmax(axis=1) == targets
    fgsm, pgd = (
        [wilson_interval(int(row.sum()), n) for row in (clean, *rows)] for rows in (one, many)
    )
    rows = tuple(
        (f"{epsilon}/255", format_proportion(a), format_proportion(b))
        for epsilon, a, b in zip((0, *EPSILONS), fgsm, pgd, strict=True)
    )
    text = join_paragraphs(
        f"Accuracy of the winner, {winner.run.title}, on {n:,} {split} examples (spread evenly "
        "over the split) under white-box attacks that change every pixel by at most epsilon, "
        "with 95 % intervals (Wilson). FGSM is one step along the sign of the gradient "
        "(Goodfellow et al., 2015), PGD ten steps from a random start (Madry et al., 2018).",
        to_markdown(Table(("epsilon", "FGSM", "PGD"), rows, "rrr")),
        embed_figure("robustness", "Accuracy under attack"),
        "Stronger attacks exist: these accuracies are upper bounds.",
    )
    return Section(text, {"robustness": draw_attacks(search, split, fgsm, pgd)})


def draw_attacks(
    search: Search, split: str, fgsm: Sequence[Proportion], pgd: Sequence[Proportion]
) -> Figure:
    """Return accuracy over epsilon, with intervals."""
    with figure_style():
        figure = create_figure(search, 4.2, 2.8)
        axes = figure.subplots()
        across = (0, *EPSILONS)
        for found, colour, mark, dashes, name in (
            (fgsm, BLUE, "o", "-", "FGSM"),
            (pgd, RED, "s", "--", "PGD"),
        ):
            values = [p.value for p in found]
            axes.fill_between(
                across, [p.low for p in found], [p.high for p in found], color=colour, alpha=0.15
            )
            axes.plot(across, values, dashes, color=colour, marker=mark, ms=4, label=name)
        axes.set_xticks(across)
        axes.set_xlabel("epsilon (of 255)")
        axes.set_ylabel(f"{split} accuracy")
        axes.set_ylim(0, 1.02)
        format_score_axis(axes.yaxis, "accuracy")
        axes.legend(loc="best")
    return figure
