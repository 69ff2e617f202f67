"""Data are scored by a model only where they fit it, class by class and column by column."""

from typing import Any

import numpy as np
import pytest

from reports.trained.scoring import score_model
from trainables.errors import UserError
from trainables.predictor import GroundTruth, Predictor


def build_data(classes: tuple[str, ...], targets: Any, **more: Any) -> GroundTruth:
    """Return data whose input is the name of each example's class."""
    targets = np.asarray(targets)
    inputs = np.array([classes[t] for t in targets] if classes else targets, dtype=object)
    examples = {"train": (inputs[:1], targets[:1]), "validation": (inputs[1:2], targets[1:2])}
    examples["test"] = (inputs[2:], targets[2:])
    return GroundTruth(classes=classes, examples=examples.__getitem__, **more)


def name_reader(*classes: str, **more: Any) -> Predictor:
    """Return a model that recognizes the name of a class."""

    def predict(inputs: np.ndarray) -> np.ndarray:
        return np.array([[float(name == of) for of in classes] for name in inputs])

    return Predictor(predict, np.array(["?"], dtype=object), classes, **more)


def test_classes_are_matched_by_name() -> None:
    data = build_data(("cat", "dog"), [0, 1, 1, 0, 1])
    for model in (name_reader("dog", "cat"), name_reader("cow", "cat", "dog")):
        for split, n in (("train", 1), ("test", 3), ("all", 5)):
            score = score_model(model, data, split)["accuracy"]
            assert (score.value, score.n) == (1, n)


def test_unknown_and_missing_classes_are_named() -> None:
    with pytest.raises(UserError, match=r"does not know: cat\.\nIt knows dog, cow; .* lack cow"):
        score_model(name_reader("dog", "cow"), build_data(("cat", "dog"), [0, 1]), "all")


def test_probabilities_need_no_names_of_classes() -> None:
    model = Predictor(lambda inputs: np.eye(2)[[0, 1, 1]], np.array(["?"], dtype=object))
    scores = score_model(model, build_data(("a", "b"), [0, 0, 0, 1, 0]), "test")
    assert scores["accuracy"].value == 2 / 3


def test_columns_are_matched_by_name() -> None:
    model = Predictor(
        lambda rows: rows[:, 0].astype(float),
        np.zeros((1, 2), object),
        columns={"height": "number", "color": "category"},
    )
    rows = np.array([["red", 1.0, 5.0], ["blue", 2.0, 7.0]], dtype=object)
    columns = {"color": "category", "height": "number", "more": "number"}

    def score(**kinds: str) -> float:
        found = {**columns, **kinds}
        known = {name: kind for name, kind in found.items() if kind}
        data = GroundTruth(examples=lambda _: (rows, np.array([1.0, 3.0])), columns=known)
        return score_model(model, data, "test")["MAE"].value

    assert score() == 0.5
    with pytest.raises(UserError, match=r"lack columns of the model: color\.\nThey have height"):
        score(color="")
    with pytest.raises(
        UserError, match="'color' is a category for the model, and the data have a n"
    ):
        score(color="number")


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (name_reader("a"), GroundTruth(), "no inputs and targets of the split 'test'"),
        (name_reader("a"), build_data((), [0.5, 1.5, 2.5]), "predicts classes, and the targets"),
        (
            Predictor(lambda inputs: inputs, np.array(["?"], dtype=object)),
            build_data(("a", "b"), [0, 1, 1]),
            "predicts numbers or answers, and the targets of the data are classes",
        ),
        (
            Predictor(lambda inputs: inputs, np.zeros((1, 3, 8, 8), np.uint8), ("a", "b")),
            build_data(("a", "b"), [0, 1, 1]),
            r"inputs of shape \(\), and the model takes those of \(3, 8, 8\)",
        ),
    ],
)
def test_data_that_do_not_fit_are_told(model: Predictor, data: GroundTruth, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_model(model, data, "test")
