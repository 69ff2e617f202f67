"""Results per class against hand-computed ones, and names of classes."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from reports.chapters.classes import (
    count_confusions,
    draw_confusion_matrix,
    read_class_names,
    score_classes,
    select_classes,
)
from tests.support.make_search import make_search


def test_scores_and_counts_are_those_of_sklearn() -> None:
    draw = np.random.default_rng(0)
    answers, guesses = draw.integers(0, 5, 200), draw.integers(1, 7, 200)  # 0, 5 and 6 are rare
    scores = precision_recall_fscore_support(
        answers, guesses, labels=range(8), zero_division=np.nan
    )
    np.testing.assert_allclose(score_classes(answers, guesses, 8), np.column_stack(scores))
    counts = confusion_matrix(answers, guesses, labels=range(8))
    np.testing.assert_array_equal(count_confusions(answers, guesses, 8), counts)


def test_precision_recall_and_f1() -> None:
    answers = np.array([0, 0, 0, 0, 1, 1, 2])
    guesses = np.array([0, 0, 0, 1, 1, 0, 0])
    found = score_classes(answers, guesses, 4)
    assert found[0] == pytest.approx([3 / 5, 3 / 4, 2 / 3, 4])
    assert found[1] == pytest.approx([1 / 2, 1 / 2, 1 / 2, 2])
    assert math.isnan(found[2][0])  # never predicted
    assert found[2][1] == 0
    assert math.isnan(found[3][1])  # there is none
    assert found[3][3] == 0


def test_many_classes_show_the_worst_and_the_best() -> None:
    answers = np.repeat(np.arange(40), 40)
    places = np.tile(np.arange(40), 40)
    guesses = np.where(places < answers, answers, 41)  # class c is right c times of 40
    rows = score_classes(answers, guesses, 60)  # 40 and the following have no examples
    assert select_classes(rows) == [*range(10), *range(30, 40)]
    assert select_classes(rows[:12]) == list(range(12))


def test_names() -> None:
    for tag, names in (('["cat", "dog"]', ["cat", "dog"]), ("[dam", []), ("{}", [])):
        assert read_class_names(make_search(tags={"classes": tag})) == names


@pytest.mark.parametrize(("k", "texts"), [(3, 4), (30, 0)])
def test_counts_are_shown_if_they_fit(k: int, texts: int) -> None:
    matrix = np.eye(k, dtype=np.int64) * 5
    matrix[0, 1] = 2
    figure = draw_confusion_matrix(make_search(), matrix, [f"class {c}" for c in range(k)])
    assert len(figure.axes[0].texts) == texts
