"""Names of the user in MLflow: accepted, reversible, and never Tunery's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, _validate_metric, _validate_param

from cluster.tracking import names
from cluster.tracking.names import (
    NAMING,
    from_mlflow_name,
    from_mlflow_params,
    list_long_names,
    split_metrics,
    to_mlflow_name,
    to_mlflow_params,
    to_own_name,
)

HARD = st.text(st.sampled_from("_x40a/.@: -\n\0tunery.T\u00e9\u65e5\U0001f600\ud800"), max_size=12)
PLAIN = ["loss", "val/top1", "lr group.0", "a:b", "grad_x", "loss_xent", "\u00e9\u65e5", "tunery"]


@given(st.one_of(HARD, st.text(max_size=400)))
def test_every_name_is_accepted_and_reads_back(name: str) -> None:
    written = to_mlflow_name(name)
    _validate_metric(written, 1.0, 0, 0)
    _validate_param(written, "value")
    _validate_metric(to_own_name(name), 1.0, 0, 0)
    assert not written.startswith(names.OWN)
    assert from_mlflow_name(written, list_long_names([name])) == name


@given(st.lists(HARD, min_size=2, max_size=2, unique=True))
def test_two_names_stay_two(pair: list[str]) -> None:
    assert to_mlflow_name(pair[0]) != to_mlflow_name(pair[1])


@pytest.mark.parametrize("name", PLAIN)
def test_a_name_that_mlflow_accepts_stays_as_it_is(name: str) -> None:
    assert to_mlflow_name(name) == name


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("acc@1", "acc_x40_1"),
        ("f1 (macro)", "f1 _x28_macro_x29_"),
        ("a//b", "a_x2f__x2f_b"),
        ("../../etc", "_x2e_._x2f_.._x2f_etc"),
        ("/a", "_x2f_a"),
        (".", "_x2e_"),
        ("", "_x_"),
        ("a_x40_1", "a_x5f_x40_1"),
        ("tunery.score", "_x74_unery.score"),
        ("system/cpu", "_x73_ystem/cpu"),
    ],
)
def test_other_names_are_escaped_by_character(name: str, written: str) -> None:
    assert to_mlflow_name(name) == written


def test_names_that_begin_alike_and_are_cut_stay_apart() -> None:
    long = ["x" * 300, "x" * 301, "@" * 100]
    written = [to_mlflow_name(name) for name in long]
    assert len(set(written)) == 3
    tags = list_long_names([*long, "short"])
    assert [from_mlflow_name(name, tags) for name in written] == long
    assert len(tags) == 3


def test_the_users_metrics_and_tunerys_own_are_told_apart() -> None:
    users = ("score", "tunery.score", "parameters", "report", "device_seconds", "best_report")
    users += ("system/disk",)
    metrics = {to_mlflow_name(name): float(at) for at, name in enumerate(users)}
    metrics |= {to_own_name("score"): 9.0, "system/disk": 8.0}
    own, reported = split_metrics(metrics, NAMING)
    assert own == {"score": 9.0}
    assert reported == {name: float(at) for at, name in enumerate(users)}
    assert split_metrics({"score": 1.0, "loss_x40_": 2.0}, {}) == (
        {"score": 1.0},
        {"loss_x40_": 2.0},
    )


@given(st.dictionaries(HARD, st.text(max_size=40).map(lambda text: text * 500), max_size=4))
def test_long_values_are_read_back_whole(params: dict[str, str]) -> None:
    written = to_mlflow_params(params)
    assert all(len(value) <= MAX_PARAM_VAL_LENGTH for value in written.values())
    for name in written:
        _validate_param(name, "value")
    assert from_mlflow_params(written, NAMING) == params
    assert from_mlflow_params({"a_x40_": "1"}, {}) == {"a_x40_": "1"}
