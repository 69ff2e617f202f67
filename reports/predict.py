"""`python -m reports predict NAME picture.jpg`: classify image files with the winner."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.cli import run_action
from reports.read.records import Tracker, read_search
from reports.records import Search
from reports.trained import models
from reports.trained.crops import (
    Pixels,
    cut_five_crops,
    describe_shrinking,
    is_image_classifier,
    read_picture,
    resize_picture,
)
from reports.trained.overlay import draw_picture, draw_top_classes
from reports.trained.restoring import find_space, restore_run, select_run
from reports.write.labels import choose_fonts, collect_replaced, to_label
from reports.write.safe import to_one_line, to_slug
from reports.write.style import create_figure, figure_style
from trainables.errors import UserError
from trainables.terminal import print_text

LISTED = 5  # classes


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""

    def predict(tracker: Tracker) -> None:
        pictures = [(path, read_picture(path)) for path in options.pictures]
        search = read_search(tracker, options.name)
        run = select_run(search, options.trial)
        predictor = restore_run(
            tracker, search, run, find_space(search, options.space, options.changed_code)
        )
        if not is_image_classifier(predictor):
            raise UserError(
                f"The models of {search.name} are not image classifiers: they take "
                f"{_describe_inputs(predictor.example)}."
            )
        if search.is_synthetic:
            print_text("SYNTHETIC DATA:")
        choose_fonts(predictor.classes)
        shape = predictor.example.shape[1:]
        figures = _choose_paths(options.pictures, Path(options.out))
        for (path, picture), figure in zip(pictures, figures, strict=True):
            crops = cut_five_crops(resize_picture(picture, shape), *shape[1:])
            probabilities = np.asarray(predictor(crops), np.float64).mean(axis=0)
            best = np.full(1, probabilities.argmax())
            maps = models.compute_maps(predictor, crops[:1], best)
            print_text(f"{path}, by {run.title} of {search.name}:")
            print_text(format_classes(probabilities, predictor.classes))
            if warning := describe_shrinking(picture, *shape[1:]):
                print_text(f"  {warning}")
            first = None if isinstance(maps, str) else maps[0]
            if isinstance(maps, str):
                print_text(f"  no map: {maps}")
            with collect_replaced() as replaced:
                drawn = draw_prediction(search, crops[0], first, probabilities, predictor.classes)
            _write(drawn, figure)
            print_text(f"  figure: {figure}")
            for name, label in replaced.items():
                print_text(
                    f"  in the figure, {label} is {name}: no font has all of its characters"
                )
            print_text("")

    return run_action(options, predict)


def format_classes(probabilities: NDArray[np.float64], names: Sequence[str]) -> str:
    """Return the most probable classes with their probabilities, one per line, aligned."""
    order = np.argsort(-probabilities, kind="stable")[:LISTED]
    shown = {label: to_one_line(names[label]) for label in order}
    width = max(map(len, shown.values()))
    return "\n".join(
        f"  {place}  {shown[label]:<{width}}  {probabilities[label] * 100:6.2f} %"
        for place, label in enumerate(order, 1)
    )


def draw_prediction(
    search: Search,
    crop: Pixels,
    heatmap: NDArray[np.float32] | None,
    probabilities: NDArray[np.float64],
    names: tuple[str, ...],
) -> Figure:
    """Return a figure of the centre crop, its class activation map and the first classes."""
    with figure_style():
        panels = 2 if heatmap is None else 3
        drawn = create_figure(search, 2.5 * panels, 2.5)
        axes = drawn.subplots(1, panels)
        draw_picture(axes[0], crop)
        if heatmap is not None:
            draw_picture(axes[1], crop, heatmap)
            best = int(probabilities.argmax())
            axes[1].set_title(f"evidence for {to_label(names[best], 24, f'class {best}')}")
        draw_top_classes(axes[-1], probabilities, names)
    return drawn


def _choose_paths(pictures: Sequence[Path], out: Path) -> list[Path]:
    # One per picture; an existing file is never overwritten.
    chosen: list[Path] = []
    for picture in pictures:
        stem, again = f"predict-{to_slug(picture.stem)}", 1
        while True:
            path = out / f"{stem}{f'-{again}' if again > 1 else ''}.png"
            if path not in chosen and not path.exists():
                break
            again += 1
        chosen.append(path)
    return chosen


def _write(drawn: Figure, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with figure_style():
            drawn.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}\nName another folder with --out DIR."
        ) from error


def _describe_inputs(example: object) -> str:
    array = np.asarray(example)
    shape = " x ".join(map(str, array.shape[1:]))
    return f"{array.dtype} inputs of shape {shape}" if shape else f"{array.dtype} inputs"
