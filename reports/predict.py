"""`python -m reports predict NAME picture.jpg`: what the winner sees in pictures of one's own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.cli import add_server_arguments, run_action
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
from reports.write.safe import to_slug
from reports.write.style import create_figure, figure_style
from trainables.errors import UserError

LISTED = 5  # labels


def main(arguments: list[str]) -> int:
    """0 after a table and a figure per picture, 2 after a message of what to mend."""
    options = _parser().parse_args(arguments)

    def work(tracker: Tracker) -> None:
        pictures = [(path, read_picture(path)) for path in options.pictures]
        search = read_search(tracker, options.name)
        run = select_run(search, options.trial)
        predictor = restore_run(tracker, search, run, find_space(search, options.space))
        if not is_image_classifier(predictor):
            raise UserError(
                f"The models of {search.name} read no pictures: they take "
                f"{_about(predictor.example)}."
            )
        if search.is_synthetic:
            print("SYNTHETIC DATA:")
        shape = predictor.example.shape[1:]
        places = _places(options.pictures, Path(options.out))
        for (path, picture), place in zip(pictures, places, strict=True):
            crops = cut_five_crops(resize_picture(picture, shape), *shape[1:])
            probabilities = np.asarray(predictor(crops), np.float64).mean(axis=0)
            chosen = np.full(1, probabilities.argmax())
            found = models.compute_maps(predictor, crops[:1], chosen)
            print(f"{path}, by {run.title} of {search.name}:")
            print(format_classes(probabilities, predictor.classes))
            if loss := describe_shrinking(picture, *shape[1:]):
                print(f"  {loss}")
            seen = None if isinstance(found, str) else found[0]
            if isinstance(found, str):
                print(f"  no map: {found}")
            drawn = draw_prediction(search, crops[0], seen, probabilities, predictor.classes)
            _write(drawn, place)
            print(f"  figure: {place}\n")

    return run_action(options, work)


def format_classes(probabilities: NDArray[np.float64], names: Sequence[str]) -> str:
    """The first labels with their confidences, aligned."""
    order = np.argsort(-probabilities, kind="stable")[:LISTED]
    width = max(len(names[label]) for label in order)
    return "\n".join(
        f"  {place}  {names[label]:<{width}}  {probabilities[label] * 100:6.2f} %"
        for place, label in enumerate(order, 1)
    )


def draw_prediction(
    search: Search,
    crop: Pixels,
    found: NDArray[np.float32] | None,
    probabilities: NDArray[np.float64],
    names: tuple[str, ...],
) -> Figure:
    """The centre crop, the map over it where there is one, and the first classes."""
    with figure_style():
        panels = 2 if found is None else 3
        drawn = create_figure(search, 2.5 * panels, 2.5)
        axes = drawn.subplots(1, panels)
        draw_picture(axes[0], crop)
        if found is not None:
            draw_picture(axes[1], crop, found)
            axes[1].set_title(f"what speaks for {names[int(probabilities.argmax())][:24]}")
        draw_top_classes(axes[-1], probabilities, names)
    return drawn


def _places(pictures: Sequence[Path], out: Path) -> list[Path]:
    places: list[Path] = []
    for path in pictures:
        stem, again = f"predict-{to_slug(path.stem)}", 1
        while True:
            place = out / f"{stem}{f'-{again}' if again > 1 else ''}.png"
            if place not in places and not place.exists():
                break
            again += 1
        places.append(place)
    return places


def _write(drawn: Figure, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with figure_style():
            drawn.savefig(place, metadata={"Software": None})
    except OSError as error:
        raise UserError(
            f"{place} cannot be written: {error.strerror}\nName another folder with --out DIR."
        ) from error


def _about(example: object) -> str:
    array = np.asarray(example)
    shape = " x ".join(map(str, array.shape[1:]))
    return f"{array.dtype} inputs of shape {shape}" if shape else f"{array.dtype} inputs"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports predict",
        description="Name what pictures show, by the best model of a search: the shorter side "
        "resized, five crops (centre and corners) averaged, and the class activation map of the "
        "centre drawn.",
    )
    parser.add_argument("name", help="the name of a space or of a search, such as svhn_150k-2")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="image files")
    parser.add_argument("--trial", type=int, metavar="N", help="a trial instead of the winner")
    parser.add_argument(
        "--out", default="report", metavar="DIR", help="where figures go (default: report)"
    )
    parser.add_argument("--space", help="the space's file, where it is none of Tunery's")
    add_server_arguments(parser)
    return parser
