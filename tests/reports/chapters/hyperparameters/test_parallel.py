"""Parallel coordinates: scores outside their axis are marked."""

import pytest

from reports.chapters.hyperparameters.parallel import write_section
from reports.read.space import Parameter
from reports.read.winner import Choice
from tests.support.make_search import make_search, make_trial

SPACE = (Parameter("rate", low=0.0, high=9.0), Parameter("width", low=0.0, high=9.0))


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_score_beyond_the_axis_is_marked(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    scores = [0.9 + n / 100 for n in range(9)]

    def draw(scores: list[float]) -> tuple[str, list[str]]:
        trials = [
            make_trial(n, sign * s, params={"rate": n % 9, "width": n % 9})
            for n, s in enumerate(scores)
        ]
        found = write_section(make_search(*trials, mode=mode), Choice((trials[8],), True), SPACE)
        assert found is not None
        (figure,) = found.figures.values()
        return found.text, [text.get_text() for text in figure.axes[0].texts]

    text, labels = draw(scores)
    assert "drawn at its end" not in text
    assert not any(label[0] in "≤≥" for label in labels)
    text, labels = draw([*scores, 0.1])
    mark = "≤" if mode == "max" else "≥"
    assert (
        f"1 trial with {'lower' if mode == 'max' else 'higher'} scores than the range of the last"
        in text
    )
    assert [label[0] for label in labels if label[0] in "≤≥"] == [mark]
