from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
import pytest

from cluster.result_page import show_result


def show(
    count: int = 3, reports: int = 2, best: Any = (1, 0.5, {"a<b": 0.25, "c": 1}), **about: Any
) -> str:
    trials = pd.DataFrame(
        {
            "score": [0.1 * n for n in range(count)],
            "outcome": ["complete"] * count,
            "x": range(count),
            "same": [7] * count,
        }
    ).rename_axis("trial")
    rows = [
        {"trial": trial, "report": report, "loss": trial / report}
        for trial in range(count)
        for report in range(1, reports + 1)
    ]
    curves = pd.DataFrame(rows).set_index(["trial", "report"])
    ranked = list(range(count)) if best else []
    return show_result(
        "q: Which <x>?", "loss", trials, curves, ranked, best, Path("runs/q"), **about
    )


def test_the_page_has_the_winner_the_trials_and_what_to_do_next() -> None:
    page = show()
    assert "<b>q: Which &lt;x&gt;?</b>" in page
    assert "best loss: <b>0.5</b>, trial 1 of 3, with <code>a&lt;b=0.25, c=1</code>" in page
    header = re.findall(r"<th>(\w+)</th>", page)
    assert {"score", "outcome", "x"} <= set(header) and "same" not in header
    assert "result.report()" in page and "runs/q" in page


def test_the_best_trials_are_shown_alone() -> None:
    assert show(count=30).count("<td>complete</td>") == 10


def test_the_curves_are_a_picture() -> None:
    found = re.search(r'src="data:image/png;base64,([^"]+)"', show())
    assert found
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(found[1])))
    colors = {pixel[:3] for pixel in picture.convert("RGB").getdata()}
    assert any(red > 200 and green < 60 and blue < 60 for red, green, blue in colors)


def test_a_model_is_offered_where_it_can_be_loaded() -> None:
    assert "result.model()" in show()
    assert "result.model()" not in show(has_model=False)


@pytest.mark.parametrize("count", [1, 3])
def test_a_single_report_has_no_curve(count: int) -> None:
    assert "<img" not in show(count, reports=1)


def test_without_a_score_the_trials_are_shown() -> None:
    page = show(best=None)
    assert "No trial of 3 has a score." in page and "<table" in page
