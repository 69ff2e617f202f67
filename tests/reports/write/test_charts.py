"""Charts of an HTML report: their data, and no text from users that Plotly reads as markup."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reports.chapters.budget import make_chart as make_budget
from reports.chapters.comparison.chart import make_chart as make_comparison
from reports.chapters.comparison.groups import group_trials
from reports.chapters.curves.chart import make_chart as make_curves
from reports.chapters.hyperparameters.chart import make_chart as make_points
from reports.chapters.outcomes import timeline
from reports.read.space import Parameter
from reports.read.winner import choose_winner
from reports.records import TrialRecord
from reports.write.charts import SCRIPT, describe_trial, to_script_json
from tests.support.make_search import make_search, make_trial

RATE = Parameter("learning_rate", 1e-4, 1.0, log=True)
KIND = Parameter("kind", choices=("a", "<b>"))


def make_trials() -> list[TrialRecord]:
    settings = [("0.1", "a"), ("0.2", "<b>"), ("0.01", "a")]
    return [
        make_trial(n, 0.9 - n / 10, params={"learning_rate": rate, "kind": kind})
        for n, (rate, kind) in enumerate(settings)
    ]


def test_points_are_grouped_and_the_menu_changes_the_hyperparameter() -> None:
    trials = [*make_trials(), make_trial(3, None, outcome="failed")]
    search = make_search(*trials)
    choice = choose_winner(search)
    assert choice is not None
    chart = make_points(search, choice, (RATE, KIND))
    complete, winner = chart["data"]
    assert (complete["name"], winner["name"]) == ("complete", "winner")
    assert (complete["x"], complete["y"]) == ([0.2, 0.01], [0.8, 0.7])
    assert (winner["x"], winner["y"]) == ([0.1], [0.9])
    layout = chart["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["yaxis"]["tickformat"] == ".4~p"
    assert layout["yaxis"]["range"][1] <= 1
    rate, kind = layout["updatemenus"][0]["buttons"]
    assert rate["args"][0]["x"] == [[0.2, 0.01], [0.1]]
    assert kind["args"][0]["x"] == [["&lt;b&gt;", "a"], ["a"]]
    assert kind["args"][1]["xaxis.type"] == "category"


def test_a_metric_that_is_no_share_has_no_per_cent_and_one_parameter_no_menu() -> None:
    search = make_search(*make_trials(), mode="min", metric="loss")
    choice = choose_winner(search)
    assert choice is not None
    layout = make_points(search, choice, (RATE,))["layout"]
    assert "tickformat" not in layout["yaxis"]
    assert layout["updatemenus"] == []


def test_curves_have_a_trace_per_trial_with_gaps_and_the_winner_on_top() -> None:
    curves = [((1, 0.5), (2, float("nan")), (3, 0.7)), ((1, 0.4), (2, 0.9))]
    trials = [
        make_trial(
            n,
            0.7 + n / 5,
            curves={"validation_accuracy": curve, "train_loss": ()},
            tags={"default": ""} if n == 0 else {},
        )
        for n, curve in enumerate(curves)
    ]
    search = make_search(*trials, make_trial(2, 0.1))
    chart = make_curves(search, trials, 1, ("validation_accuracy", "train_loss"))
    other, winner = chart["data"]
    assert other["x"] == [1, 2, 3]
    assert other["y"] == [0.5, None, 0.7]
    assert (other["name"], other["line"]["dash"]) == ("default", "dash")
    assert (winner["name"], winner["y"]) == ("winner", [0.4, 0.9])
    accuracy, loss = chart["layout"]["updatemenus"][0]["buttons"]
    assert accuracy["args"][1]["yaxis.tickformat"] == ".4~p"
    assert loss["args"] == [
        {"x": [[], []], "y": [[], []]},
        {
            "yaxis.tickformat": "",
            "yaxis.maxallowed": None,
            "yaxis.title": {"text": "train loss"},
            "yaxis.automargin": True,
            "yaxis.autorange": True,
        },
    ]


def test_a_comparison_has_means_with_intervals_and_single_runs() -> None:
    trials = [
        make_trial(n, score, params={"kind": kind, "seed": n})
        for n, (kind, score) in enumerate(zip("aab<", (0.9, 0.8, 0.7, 0.6), strict=True))
    ]
    search = make_search(*trials, compare=("kind",))
    chart = make_comparison(search, group_trials(search), True, None, None)
    single, means = chart["data"]
    assert single["x"] == [0.9, 0.8, 0.7, 0.6] and single["y"] == [0, 0, 1, 2]
    assert means["x"] == pytest.approx([0.85, 0.7, 0.6])
    assert means["error_x"]["array"][0] > 0.05 and means["error_x"]["array"][1:] == [0.0, 0.0]
    assert "2 of 2 runs complete" in means["text"][0] and "&lt;" in means["text"][2]
    assert chart["layout"]["yaxis"]["ticktext"] == ["a", "b", "&lt;"]


def test_a_comparison_of_numbers_has_a_numeric_axis() -> None:
    trials = [make_trial(n, 0.9 - n / 10, params={"width": 10**n}) for n in range(3)]
    search = make_search(*trials, compare=("width",))
    (best,) = make_comparison(search, group_trials(search), False, None, 100)["data"]
    assert best["x"] == [1.0, 10.0, 100.0]
    assert best["y"] == [0.9, 0.8, 0.7]
    assert all(up > 0 for up in best["error_y"]["array"])


def test_a_budget_has_a_step_for_every_better_trial() -> None:
    scores = (None, 0.5, 0.4, 0.8, 0.7)
    outcomes = ["complete" if score else "failed" for score in scores]
    trials = [make_trial(n, scores[n], outcome=outcomes[n]) for n in range(len(scores))]
    search = make_search(*trials)
    (steps,) = make_budget(search, trials, None)["data"]
    assert steps["x"] == [2, 4, 5] and steps["y"] == [0.5, 0.8, 0.8]
    assert steps["text"][1].startswith("trial 3, complete")
    drawn = np.array([0.5, 0.4, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1])
    low, high, median = make_budget(search, trials, drawn)["data"][1:]
    assert median["y"][0] == pytest.approx(np.median(drawn), abs=0.06)
    assert low["y"][-1] is not None and high["y"][-1] is None  # too few for an upper end


def test_a_timeline_has_a_bar_per_attempt_on_its_device() -> None:
    spans = ['[[0, 60, "a"], [90, 300, "a"]]', '[[30, 90, "<b>"]]']
    outcomes = ("complete", "stopped")
    trials = [
        make_trial(n, 0.9, outcome=outcome, tags={"spans": text})
        for n, (outcome, text) in enumerate(zip(outcomes, spans, strict=True))
    ]
    search = make_search(*trials)
    section = timeline.write_section(search)
    assert section is not None
    complete, stopped = section.charts["timeline"]["data"]
    layout = section.charts["timeline"]["layout"]
    assert layout["yaxis"]["ticktext"] == ["&lt;b&gt;", "a"]
    assert (complete["y"], complete["base"], complete["x"]) == ([1, 1], [0.0, 1.5], [1.0, 3.5])
    assert (stopped["y"], stopped["base"], stopped["x"]) == ([0], [0.5], [1.0])
    assert complete["text"][1].endswith("<br>3 min 30 s")
    assert "minutes" in layout["xaxis"]["title"]["text"]


def test_text_from_users_is_no_markup_beside_a_point_or_in_a_script() -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    trial = make_trial(0, 0.9, params={hostile: hostile})
    text = describe_trial(make_search(trial), trial)
    assert "<img" not in text
    assert text.startswith("trial 0, complete<br>")
    script = to_script_json({"data": [hostile], "layout": {"a": "&<!--"}})
    assert not set("<>&") & set(script)
    assert json.loads(script) == {"data": [hostile], "layout": {"a": "&<!--"}}


def test_many_hyperparameters_are_cut_beside_a_point() -> None:
    trial = make_trial(0, 0.9, params={f"p{i}": "1" for i in range(40)})
    assert describe_trial(make_search(trial), trial).endswith("<br>and 28 more")


def test_the_script_is_free_of_a_closing_tag_and_names_its_licence() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    assert "</script" not in script
    assert "Licensed under the MIT license" in script[:300]
