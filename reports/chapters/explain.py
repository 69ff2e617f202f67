"""Class activation maps of the winner, and its gain from averaging over five crops."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.numbers.paired import compare_correct
from reports.numbers.statistics import Proportion, wilson_interval
from reports.read.opened_test import OpenedTest
from reports.records import Search
from reports.trained import models
from reports.trained.crops import SMALL, Pixels, predict_over_crops
from reports.trained.overlay import draw_picture, list_top_classes
from reports.trained.winner_model import WinnerModel
from reports.write.intervals import format_difference, format_p_value
from reports.write.labels import to_label
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import create_figure, figure_style
from reports.write.tables import Table, to_markdown
from trainables.invocation import format_command

SHOWN = 6  # images per row
MOST = 2000  # examples that are evaluated with five crops
MOST_LARGE = 300  # for photographs


def write_section(search: Search, winner: WinnerModel, test: OpenedTest) -> Section:
    """Return maps of validation images, and five-crop results on validation and an open test."""
    most = MOST if max(winner.predictor.example.shape[2:]) <= SMALL else MOST_LARGE
    pixels, targets = winner.sample("validation", most)
    once = np.asarray(winner.predictor(pixels), np.float64)
    rows = [
        _evaluate_gain("validation", once, predict_over_crops(winner.predictor, pixels), targets)
    ]
    if test.accuracy is not None:
        images, answers = winner.sample("test", most)
        single = np.asarray(winner.predictor(images), np.float64)
        rows.append(
            _evaluate_gain("test", single, predict_over_crops(winner.predictor, images), answers)
        )
    header = ("split", "examples", "whole image", "five crops", "gain", "McNemar")
    crops = join_paragraphs(
        f"Five-crop averaging enlarges each image by a factor of {_find_scale(winner)} and "
        "averages the probabilities of the centre crop and the four corner crops, as "
        f"`{format_command('predict')}` does. In brackets 95 % intervals: Wilson, and Agresti and "
        "Min (2005) for the gain; the p-value is McNemar's mid-p, of each split alone.",
        to_markdown(Table(header, tuple(rows), "lrrrrl")),
    )
    correct, wrong = rank_by_confidence(once, targets)
    kinds = [("correct", correct[:SHOWN]), ("wrong", wrong[:SHOWN])]
    kinds = [(name, rows) for name, rows in kinds if len(rows)]
    chosen = np.concatenate([rows for _, rows in kinds])
    maps = models.compute_maps(winner.predictor, pixels[chosen], once[chosen].argmax(axis=1))
    if isinstance(maps, str):
        return Section(join_paragraphs(f"There are no class activation maps: {maps}.", crops))
    by_row = dict(zip(chosen.tolist(), maps, strict=True))
    figure = draw_maps(search, kinds, pixels, by_row, once, targets, winner.names)
    text = join_paragraphs(
        embed_figure("looked_at", "Class activation maps of validation images"),
        "The validation images with the most confident predictions, correct ones above and wrong "
        "ones below, each with its class activation map (Zhou et al., 2016): brighter places "
        "contribute more to the predicted class. For a head with hidden layers the map is "
        "Grad-CAM (Selvaraju et al., 2017).",
        crops,
    )
    return Section(text, {"looked_at": figure})


def rank_by_confidence(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows with correct and with wrong predictions, most confident first."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    hits = probabilities.argmax(axis=1)[order] == targets[order]
    return order[hits], order[~hits]


def draw_maps(
    search: Search,
    kinds: list[tuple[str, NDArray[np.int64]]],
    pixels: Pixels,
    maps: dict[int, NDArray[np.float32]],
    probabilities: NDArray[np.float64],
    targets: NDArray[np.int64],
    names: tuple[str, ...],
) -> Figure:
    """Return per kind (correct, wrong) a row of images and a row of maps."""
    with figure_style():
        figure = create_figure(search, 1.35 * SHOWN, 3.3 * len(kinds))
        panels = figure.subplots(2 * len(kinds), SHOWN, squeeze=False)
        for axes in panels.flat:
            axes.set_visible(False)
        for kind, (name, rows) in enumerate(kinds):
            for column, row in enumerate(rows.tolist()):
                above, below = panels[2 * kind : 2 * kind + 2, column]
                above.set_visible(True)
                below.set_visible(True)
                draw_picture(above, pixels[row])
                draw_picture(below, pixels[row], maps[row])
                if name == "wrong":
                    true = to_label(names[targets[row]], 16, f"class {targets[row]}")
                    above.set_title(f"true: {true}", fontsize=8)
                below.set_xlabel(list_top_classes(probabilities[row], names), fontsize=7)
            panels[2 * kind, 0].set_ylabel(name)
    return figure


def _evaluate_gain(
    split: str,
    once: NDArray[np.float64],
    five: NDArray[np.float64],
    targets: NDArray[np.int64],
) -> tuple[str, ...]:
    before, after = once.argmax(axis=1) == targets, five.argmax(axis=1) == targets
    gain = compare_correct(after, before)
    return (
        split,
        f"{len(targets):,}",
        format_proportion(wilson_interval(int(before.sum()), len(targets))),
        format_proportion(wilson_interval(int(after.sum()), len(targets))),
        format_difference(gain.interval, "accuracy"),
        format_p_value(gain.p),
    )


def _find_scale(winner: WinnerModel) -> str:
    return "8/7" if max(winner.predictor.example.shape[2:]) > SMALL else "17/16"


def format_proportion(proportion: Proportion) -> str:
    """Return `97.12 % (96.80 to 97.44 %)`."""
    low, high = proportion.low * 100, proportion.high * 100
    return f"{proportion.value * 100:.2f} % ({low:.2f} to {high:.2f} %)"
