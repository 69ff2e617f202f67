"""Compared searches: which are repeats, and the area under their best so far."""

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from reports.compare import (
    build_table,
    compute_area,
    draw_best,
    has_score,
    trace_best,
    write_comparison,
)
from reports.numbers.statistics import mean_interval
from reports.records import Search
from tests.support.make_search import make_search, make_trial
from trainables.errors import UnreadableError


def searched(best: float, **fixed: object) -> Search:
    tags = {"sampler": "tpe", "scheduler": "asha", "trials": "2"}
    trials = [
        make_trial(i, s, metrics={"device_seconds": 10.0}) for i, s in enumerate((0.5, best))
    ]
    return make_search(*trials, tags={**tags, **({"fixed": json.dumps(fixed)} if fixed else {})})


def test_searches_that_differ_in_their_seed_alone_are_repeats() -> None:
    races = [
        trace_best(searched(0.90)),
        trace_best(searched(0.94, seed=1)),
        trace_best(searched(0.92, seed=2)),
    ]
    (row,) = build_table(races).rows
    assert row[4] == "3"
    table = mean_interval([0.90, 0.94, 0.92])
    assert row[5] == f"92.00 % ({table.low * 100:.2f} to {table.high * 100:.2f} %)"
    assert "Student's t" in write_comparison(races)


def test_searches_with_different_fixed_values_are_not_repeats() -> None:
    races = [
        trace_best(searched(0.9, epochs=2, seed=0)),
        trace_best(searched(0.9, seed=1, epochs=3)),
    ]
    assert [row[4] for row in build_table(races).rows] == ["1", "1"]
    assert "no difference here can be told from chance" in write_comparison(races)
    same = [
        trace_best(searched(0.9, epochs=2, seed=0)),
        trace_best(searched(0.9, seed=1, epochs=2)),
    ]
    assert [row[4] for row in build_table(same).rows] == ["2"]


def test_the_area_is_the_mean_of_the_best_so_far_over_the_time() -> None:
    assert compute_area(trace_best(searched(0.9)), 30.0) == pytest.approx(
        (0.5 * 10 + 0.9 * 10) / 20
    )


def test_the_best_so_far_is_that_of_trials_that_may_win() -> None:
    scores = ((0.5, "complete"), (0.99, "diverged"), (0.95, "stopped"), (0.9, "complete"))
    trials = [make_trial(n, score, outcome=outcome) for n, (score, outcome) in enumerate(scores)]
    assert list(trace_best(make_search(*trials)).best) == [0.5, 0.5, 0.5, 0.9]
    assert list(trace_best(make_search(*trials[1:3])).best[1:]) == [0.95]
    assert not has_score(make_search(trials[1]))


def test_the_same_seed_and_an_unfinished_search_are_not_repeats() -> None:
    first, same, other = searched(0.90, seed=3), searched(0.94, seed=3), searched(0.92, seed=4)
    cut = replace(other, tags={**other.tags, "trials": "40"}, is_finished=False)
    whole = replace(first, tags={**first.tags, "trials": "40"})
    table = build_table(
        [trace_best(whole), trace_best(replace(same, tags=whole.tags)), trace_best(cut)]
    )
    assert [row[4] for row in table.rows] == ["1", "1", "1"]
    assert [row[-1] for row in table.rows] == [
        "",
        "same seed (3) as made",
        "unfinished (2 of 40 trials)",
    ]
    text = write_comparison([trace_best(whole), trace_best(cut)])
    assert "no difference here can be told from chance" in text
    assert "Student" not in text
    assert [row[4] for row in build_table([trace_best(first), trace_best(other)]).rows] == ["2"]


def test_a_search_without_a_score_is_named_and_left_out(
    write_search: Callable[..., str],
    some_trials: list[dict[str, Any]],
    storage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search(some_trials[:2])
    write_search([], {"search_name": "digits-2"})
    write_search([], {"search_name": "digits-3"})
    where = ["--storage", str(storage), "--out", str(tmp_path / "out")]
    assert main(["compare", "digits", "digits-2", *where]) == 0
    assert "Left out: digits-2 has no trial with a score." in capsys.readouterr().out
    written = (tmp_path / "out/compare.md").read_text()
    assert "Left out: digits-2" in written
    assert "nan" not in written
    assert main(["compare", "digits-3", "digits-2", *where]) == 2
    assert "No trial of digits-3 and digits-2 has a score" in capsys.readouterr().err


def test_names_of_the_user_stay_as_they_are_in_figure_and_text() -> None:
    trials = [make_trial(n, 0.9, metrics={"device_seconds": 1.0}) for n in range(2)]
    searches = [
        replace(make_search(*trials, metric="$x$|y"), name=name, space="<b>")
        for name in ("a_$1_$2", "_hidden")
    ]
    histories = [trace_best(search) for search in searches]
    with warnings.catch_warnings(action="error"):
        figure = draw_best(histories)
        figure.savefig(io.BytesIO(), format="png")
    axes = figure.axes[0]
    assert axes.get_ylabel() == "best $x$|y so far"
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text().split(" (")[0].strip() for text in legend.get_texts()] == [
        "a_$1_$2",
        "_hidden",
    ]
    text = write_comparison(histories)
    assert text.startswith("# \\<b>: 2 searches compared")
    assert "(`$x$|y`, the best" in text


def test_a_damaged_record_of_fixed_values_is_an_error() -> None:
    search = make_search(make_trial(0, 0.9), tags={"fixed": '{"x": '})
    with pytest.raises(UnreadableError, match="`fixed`"):
        _ = trace_best(search).settings
