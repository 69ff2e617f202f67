"""What the winner looks at: class activation maps, and what it gains from five looks at each."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.numbers.paired import mcnemar, paired_bootstrap
from reports.numbers.statistics import Proportion, wilson_interval
from reports.read.opened_test import OpenedTest
from reports.records import Search
from reports.trained import models
from reports.trained.crops import SMALL, Pixels, predict_over_crops
from reports.trained.overlay import draw_picture, list_top_classes
from reports.trained.winner_model import WinnerModel
from reports.write.intervals import format_difference, format_p_value
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import create_figure, figure_style
from reports.write.tables import Table, to_markdown

SHOWN = 6  # pictures of a kind
MOST = 2000  # examples that are judged from five crops
MOST_LARGE = 300  # of photographs


def write_section(search: Search, winner: WinnerModel, test: OpenedTest) -> Section:
    """Maps over validation images, and five-crop averaging on validation and an opened test."""
    most = MOST if max(winner.predictor.example.shape[2:]) <= SMALL else MOST_LARGE
    pixels, targets = winner.sample("validation", most)
    once = np.asarray(winner.predictor(pixels), np.float64)
    rows = [_gain("validation", once, predict_over_crops(winner.predictor, pixels), targets)]
    if test.accuracy is not None:
        images, answers = winner.sample("test", most)
        single = np.asarray(winner.predictor(images), np.float64)
        rows.append(_gain("test", single, predict_over_crops(winner.predictor, images), answers))
    header = ("split", "examples", "whole picture", "five crops", "gain", "McNemar")
    crops = join_paragraphs(
        f"Five-crop averaging enlarges each image by {_room(winner)} and averages the model's "
        "probabilities over the centre and the four corners, as `python -m reports predict` does "
        "with a picture. In brackets 95 % intervals: Wilson, and of the gain by bootstrap over "
        "the same examples.",
        to_markdown(Table(header, tuple(rows), "lrrrrl")),
    )
    right, wrong = rank_by_confidence(once, targets)
    kinds = [("right", right), ("wrong", wrong)]
    kinds = [(name, found[:SHOWN]) for name, found in kinds if len(found)]
    chosen = np.concatenate([found for _, found in kinds])
    found = models.compute_maps(winner.predictor, pixels[chosen], once[chosen].argmax(axis=1))
    if isinstance(found, str):
        return Section(join_paragraphs(f"There are no maps: {found}.", crops))
    maps = dict(zip(chosen.tolist(), found, strict=True))
    figure = draw_maps(search, kinds, pixels, maps, once, targets, winner.names)
    text = join_paragraphs(
        embed_figure("looked_at", "What spoke for the predicted class"),
        "Validation images of which the winner was surest, right above and wrong below, each with "
        "its class activation map (Zhou et al., 2016): the brighter, the more this place spoke "
        "for the class that was predicted. Where the head has hidden layers the map is Grad-CAM "
        "(Selvaraju et al., 2017).",
        crops,
    )
    return Section(text, {"looked_at": figure})


def rank_by_confidence(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that are right, and those that are wrong, the most confident first."""
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
    """Per kind a row of pictures and a row of maps."""
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
                    above.set_title(f"truth: {names[targets[row]][:16]}", fontsize=8)
                below.set_xlabel(list_top_classes(probabilities[row], names), fontsize=7)
            panels[2 * kind, 0].set_ylabel(name)
    return figure


def _gain(
    split: str,
    once: NDArray[np.float64],
    five: NDArray[np.float64],
    targets: NDArray[np.int64],
) -> tuple[str, ...]:
    before, after = once.argmax(axis=1) == targets, five.argmax(axis=1) == targets
    gain = paired_bootstrap(after.astype(float) - before)
    return (
        split,
        f"{len(targets):,}",
        format_proportion(wilson_interval(int(before.sum()), len(targets))),
        format_proportion(wilson_interval(int(after.sum()), len(targets))),
        format_difference(gain, "accuracy"),
        format_p_value(mcnemar(after, before)),
    )


def _room(winner: WinnerModel) -> str:
    return "8/7" if max(winner.predictor.example.shape[2:]) > SMALL else "17/16"


def format_proportion(found: Proportion) -> str:
    """`97.12 % (96.80 to 97.44 %)`."""
    return f"{found.value * 100:.2f} % ({found.low * 100:.2f} to {found.high * 100:.2f} %)"
