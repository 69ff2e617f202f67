"""How little it takes to fool the winner: accuracy under attacks that change pixels slightly."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reports.chapters.explain import share
from reports.numbers.statistics import Proportion, wilson
from reports.read.opened_test import OpenedTest
from reports.records import Search
from reports.trained import models
from reports.trained.crops import SMALL
from reports.trained.looking import Winner, open_split
from reports.write.sections import Section, paragraphs, picture
from reports.write.style import INK, MARK, empty_figure, score_axis, style
from reports.write.tables import Table, markdown

EPSILONS = (1, 2, 4, 8)  # of 255
MOST = 400  # examples
MOST_LARGE = 100  # of photographs


def section(search: Search, winner: Winner, test: OpenedTest) -> Section:
    """Table and figure, on test where it was opened for the winner, else on validation."""
    split = open_split(test)
    most = MOST if max(winner.predictor.example.shape[2:]) <= SMALL else MOST_LARGE
    pixels, targets = winner.sample(split, most)
    n = len(targets)
    one, many = models.attacked(winner.predictor, pixels, targets, EPSILONS)
    clean = np.asarray(winner.predictor(pixels)).argmax(axis=1) == targets
    fgsm, pgd = ([wilson(int(row.sum()), n) for row in (clean, *rows)] for rows in (one, many))
    rows = tuple(
        (f"{epsilon}/255", share(a), share(b))
        for epsilon, a, b in zip((0, *EPSILONS), fgsm, pgd, strict=True)
    )
    text = paragraphs(
        f"Accuracy of the winner, {winner.run.title}, on {n:,} {split} examples (evenly over the "
        "split) of which an attacker who knows the network may change every pixel by at most "
        "epsilon, with 95 % intervals (Wilson). FGSM is one step along the sign of the gradient "
        "(Goodfellow et al., 2015), PGD ten steps from a random start (Madry et al., 2018).",
        markdown(Table(("epsilon", "FGSM", "PGD"), rows, "rrr")),
        picture("robustness", "Accuracy under attack"),
        "Stronger attacks exist, so these are upper bounds of what would be left.",
    )
    return Section(text, {"robustness": attack_figure(search, split, fgsm, pgd)})


def attack_figure(
    search: Search, split: str, fgsm: Sequence[Proportion], pgd: Sequence[Proportion]
) -> Figure:
    """Accuracy over epsilon, with intervals."""
    with style():
        figure = empty_figure(search, 4.2, 2.8)
        axes = figure.subplots()
        across = (0, *EPSILONS)
        for found, colour, mark, dashes, name in (
            (fgsm, INK, "o", "-", "FGSM"),
            (pgd, MARK, "s", "--", "PGD"),
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
        score_axis(axes.yaxis, "accuracy")
        axes.legend(loc="best")
    return figure
