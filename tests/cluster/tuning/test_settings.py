"""The settings of a new search, and what a resumed search may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings, read_settings, write_settings
from cluster.options import Options
from cluster.storage.storage import Storage
from cluster.tuning.same_space import record_space
from cluster.tuning.settings import decide_settings, merge_settings, resolve_settings
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Change = Callable[..., SearchSpace[Any]]
SETTINGS = SearchSettings(
    space="toy",
    metric="loss",
    mode="min",
    trials=4,
    reports=3,
    fixed={"width": 2},
)


@dataclass(frozen=True)
class Layers:
    layers: tuple[int, ...] = (4,)


def test_a_new_search_starts_with_the_defaults_of_its_space(
    space: SearchSpace[Any], tmp_path: Path
) -> None:
    settings = decide_settings(space, Options(storage=Storage(tmp_path)))
    assert (settings.space, settings.metric, settings.mode) == ("trivial", "loss", "min")
    assert (settings.trials, settings.reports, settings.seeds) == (4, 4, space.seeds)
    assert (settings.sampler, settings.scheduler, settings.seed) == ("tpe", "asha", 0)
    assert (settings.rungs, settings.enqueued, settings.control) == ((1, 3), 1, 0)
    assert settings.parameters.keys() == {"learning_rate", "width", "momentum"}
    assert settings.tracking_uri == ""  # the database of the storage, wherever that is
    assert (settings.teacher, settings.kind, settings.reruns) == ("", "trial", ())


def test_a_default_of_the_machine_is_fixed_unless_the_user_names_another(
    space: SearchSpace[Any], tmp_path: Path
) -> None:
    pinned, default = replace(space, pinned=("width",)), space.config().width
    options = Options(storage=Storage(tmp_path))
    assert decide_settings(pinned, options).fixed == {"width": default}
    assert "width" not in decide_settings(pinned, options).parameters
    named = replace(options, fixed={"width": default + 1})
    assert decide_settings(pinned, named).fixed == {"width": default + 1}
    compared = replace(pinned, compare=("width",))
    assert decide_settings(compared, options).fixed == {}


def test_what_the_user_asks_for_wins(space: SearchSpace[Any], tmp_path: Path) -> None:
    storage = Storage(tmp_path, None, "http://me:planted@server:5000")
    options = Options(
        trials=9,
        reports=2,
        seed=7,
        sampler="random",
        scheduler="none",
        control=2,
        fixed={"width": 3},
        teacher="runs:/abc/",
        storage=storage,
    )
    settings = decide_settings(space, options)
    assert (settings.trials, settings.reports, settings.seed) == (9, 2, 7)
    assert (settings.sampler, settings.scheduler, settings.control) == ("random", "none", 2)
    assert (settings.fixed, settings.rungs) == ({"width": 3}, ())
    assert settings.parameters.keys() == {"learning_rate", "momentum"}
    assert settings.teacher == "runs:/abc"
    assert settings.tracking_uri == "http://***@server:5000"


def test_the_number_of_trials_is_at_least_that_of_initial_trials(change: Change) -> None:
    many = change(initial_configs=tuple({"width": 1, "nap": n} for n in range(6)))
    assert decide_settings(many, Options()).trials == 7
    arms = change(arms=({"momentum": False}, {"momentum": True}))
    settings = decide_settings(arms, Options(seeds=2))
    assert (settings.trials, settings.enqueued, settings.scheduler) == (4, 4, "none")
    grid = decide_settings(change(), Options(sampler="grid", fixed={"learning_rate": 0.1}))
    assert grid.trials == grid.enqueued == 8


def test_a_grid_without_a_number_of_trials_is_bounded(change: Change) -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        return {"width": sum(trial.suggest_int(f"digit.{place}", 0, 99) for place in range(5))}

    with pytest.raises(UserError, match=r"more than 10,000 configurations\n.*--trials N"):
        decide_settings(change(suggest=suggest), Options(sampler="grid"))
    assert decide_settings(change(suggest=suggest), Options(sampler="grid", trials=3)).trials == 3


def test_a_grid_of_a_continuous_space_is_rejected_with_the_options(change: Change) -> None:
    with pytest.raises(UserError, match=r"learning_rate is continuous(.|\n)*--set learning_rate="):
        decide_settings(change(), Options(sampler="grid"))


def test_the_first_rung_is_not_above_the_budget(change: Change) -> None:
    space = change(reports=9, min_reports=5)
    assert decide_settings(space, Options()).rungs == (5,)
    assert decide_settings(space, Options(reports=3)).rungs == ()


def test_settings_that_are_left_out_stay_and_more_trials_extend_the_search() -> None:
    assert merge_settings(Path("x"), SETTINGS, {}) == SETTINGS
    assert merge_settings(Path("x"), SETTINGS, {"trials": 9}) == replace(SETTINGS, trials=9)
    same = {"trials": 4, "sampler": "tpe", "fixed": {"width": 2}}
    assert merge_settings(Path("x"), SETTINGS, same) == SETTINGS


def test_all_settings_that_differ_are_listed_at_once() -> None:
    requested = {"trials": 3, "sampler": "gp", "fixed": {"width": 4}, "reports": 3}
    with pytest.raises(UserError) as error:
        merge_settings(Path("runs/toy"), SETTINGS, requested)
    for line in ("runs/toy", "trials: 4 there, 3 now", "sampler: 'tpe' there, 'gp' now"):
        assert line in str(error.value)
    assert "fixed: {'width': 2} there, {'width': 4} now" in str(error.value)
    assert "reports" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "trials"),
    [({}, 4), ({"trials": 6}, 6), ({"seed": 0}, 4), ({"fixed": {"layers": (8, 8)}}, 4)],
)
def test_the_same_options_continue_a_search_that_was_written(
    options: dict[str, Any],
    trials: int,
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    tmp_path: Path,
) -> None:
    """Tuples become lists in `search.json`, and compare as equal."""
    storage = Storage(tmp_path / "runs")
    space = replace(space, config=Layers, suggest=lambda trial: {})
    first = decide_settings(space, Options(storage=storage, fixed=options.get("fixed", {})))
    names = ("fixed", "sampler", "tracking_uri", "fields", "code", "parameters")
    ledger = begin(**{name: getattr(first, name) for name in names})
    write_settings(ledger.folder, ledger.settings)
    ledger.settings = read_settings(ledger.folder)
    settings = resolve_settings(space, Options(storage=storage, **options), ledger)
    assert settings == replace(ledger.settings, trials=trials)


def test_another_seed_is_listed_and_another_server_is_none_of_the_settings(
    begin: Callable[..., Ledger], space: SearchSpace[Any], tmp_path: Path
) -> None:
    ledger = begin(seed=7, tracking_uri="http://***@server:5000", **record_space(space, {}))
    same = Options(storage=Storage(tmp_path, None, "http://me:word@server:5000"))
    assert resolve_settings(space, same, ledger) == ledger.settings
    other = Options(seed=0, storage=Storage(tmp_path, None, "http://other:5000"))
    with pytest.raises(UserError) as error:
        resolve_settings(space, other, ledger)
    assert "seed: 7 there, 0 now" in str(error.value)
    assert "tracking_uri" not in str(error.value)


def test_a_new_search_has_no_ledger_to_compare_with(space: SearchSpace[Any]) -> None:
    options = Options(trials=2, seed=3)
    assert resolve_settings(space, options, None) == decide_settings(space, options)


ARMS = ({"momentum": False}, {"momentum": True})


def test_arms_that_are_tuned_have_as_many_trials_each(change: Change) -> None:
    space = change(arms=ARMS, compare=("momentum",), tune_arms=5)
    settings = decide_settings(space, Options(seeds=2))
    assert (settings.trials, settings.tune_arms, settings.seeds) == (10, 5, 2)
    assert settings.arms == (({"momentum": False}, {}), ({"momentum": True}, {}))
    assert (settings.scheduler, settings.enqueued) == ("asha", 2)
    assert decide_settings(space, Options(tune_arms=3)).trials == 6
    plain = decide_settings(space, Options(tune_arms=0, seeds=2))
    assert (plain.trials, plain.arms, plain.scheduler) == (4, (), "none")


def test_an_arm_that_is_left_alone_is_an_ordinary_search_with_its_settings(
    change: Change, begin: Callable[..., Ledger]
) -> None:
    space = change(
        arms=(*ARMS, {"momentum": True, "width": 3}), compare=("momentum", "width"), tune_arms=5
    )
    alone = decide_settings(space, Options(fixed={"width": 3}))
    assert (alone.arms, alone.tune_arms, alone.scheduler) == ((), 0, "asha")
    assert (alone.trials, alone.fixed) == (space.trials, {"momentum": True, "width": 3})
    ledger = begin(**vars(alone))
    again = resolve_settings(space, Options(trials=alone.trials + 5), ledger)
    assert again == replace(ledger.settings, trials=alone.trials + 5)


def test_trials_of_all_arms_together_are_rejected(change: Change) -> None:
    space = change(arms=ARMS, compare=("momentum",), tune_arms=5)
    with pytest.raises(UserError, match=r"--trials 7: trivial tunes each arm\n.*--tune-arms N"):
        decide_settings(space, Options(trials=7))
    with pytest.raises(UserError, match=r"has no arms to tune\n.*--compare NAME"):
        decide_settings(change(), Options(tune_arms=5))
    with pytest.raises(UserError, match="has one arm to tune"):
        decide_settings(space, Options(tune_arms=5, fixed={"momentum": True}))


def test_a_search_that_tunes_arms_is_extended_by_trials_per_arm(
    change: Change, begin: Callable[..., Ledger]
) -> None:
    space = change(arms=ARMS, compare=("momentum",), tune_arms=5)
    settings = decide_settings(space, Options())
    folder = begin().folder
    merged = merge_settings(folder, settings, {"tune_arms": 7})
    assert (merged.tune_arms, merged.trials) == (7, 14)
    assert merge_settings(folder, settings, {"arms": settings.arms}) == settings
    with pytest.raises(UserError, match="tune_arms: 5 there, 4 now"):
        merge_settings(folder, settings, {"tune_arms": 4})
    with pytest.raises(UserError, match=r"arms: .* there"):
        merge_settings(folder, settings, {"arms": settings.arms[:1]})
    with pytest.raises(UserError, match="--tune-arms N"):
        merge_settings(folder, settings, {"trials": 50})
    plain = decide_settings(change(), Options())
    with pytest.raises(UserError, match="tune_arms: 0 there, 5 now"):
        merge_settings(folder, plain, {"tune_arms": 5})
