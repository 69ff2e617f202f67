"""The options of a search: how values are read, and where defaults come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import build_parser
from cluster.options import Options, read_options
from cluster.storage.location import Location
from searchspaces.space import SearchSpace
from trainables.errors import UserError


def read(space: SearchSpace[Any], *words: object) -> Options:
    return read_options(build_parser().parse_args(["--space", "toy", *map(str, words)]), space)


def test_without_options_the_space_or_an_earlier_search_decides(space: SearchSpace[Any]) -> None:
    options = read(space)
    assert options == Options(storage=options.storage)
    assert options.storage.folder == Path("runs").absolute()


def test_every_option_has_its_type(space: SearchSpace[Any], tmp_path: Path) -> None:
    words = ["--trials", 9, "--reports", 3, "--seed", 7, "--sampler", "gp", "--scheduler", "none"]
    words += ["--control", 2, "--time-budget", "2m", "--concurrency", 4]
    words += ["--gpus-per-trial", "0.25", "--set", "width=3", "--set", "momentum=true"]
    words += ["--storage", str(tmp_path), "--tracking-uri", "http://server:5000", "--fresh"]
    options = read(space, *words)
    assert (options.trials, options.reports, options.seed) == (9, 3, 7)
    assert (options.sampler, options.scheduler, options.control) == ("gp", "none", 2)
    assert (options.time_budget, options.concurrency, options.gpus_per_trial) == (120.0, 4, 0.25)
    assert options.fixed == {"width": 3, "momentum": True, "seed": 7}
    assert options.resume_mode == "fresh"
    assert options.storage.folder == tmp_path
    assert options.storage.user_tracking_uri == "http://server:5000"


def test_gpus_that_a_task_does_not_use_are_refused(space: SearchSpace[Any]) -> None:
    with pytest.raises(UserError, match="--gpus-per-trial 2: a trial of trivial uses 1\n"):
        read(space, "--gpus-per-trial", "2")
    parallel = replace(space, resources={"cpu": 1, "gpu": 2})
    assert read(parallel, "--gpus-per-trial", "2").gpus_per_trial == 2
    with pytest.raises(UserError, match="--gpus-per-trial 4: a trial of trivial uses 2\n"):
        read(parallel, "--gpus-per-trial", "4")


def test_storage_server_and_cluster_come_from_the_environment_too(
    space: SearchSpace[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_STORAGE", "s3://bucket/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    options = read(space)
    assert options.storage.remote == Location("s3://bucket/x")
    assert options.storage.tracking_uri == "http://server:5000"
    assert options.address == "auto"
    options = read(space, "--storage", "mine", "--tracking-uri", "http://b", "--address", "c:1")
    assert (options.storage.folder, options.storage.remote) == (Path("mine").absolute(), None)
    assert (options.storage.tracking_uri, options.address) == ("http://b", "c:1")


def test_what_needs_ray_is_rejected_for_a_search_in_this_process(
    space: SearchSpace[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    options = read(space, "--executor", "inline", "--concurrency", 2)
    assert (options.executor, options.concurrency, options.address) == ("inline", 2, None)
    assert read(space).executor == "ray"
    for option, value in (
        ("--address", "auto"),
        ("--gpus-per-trial", "auto"),
        ("--gpus-per-trial", "0.5"),
        ("--storage", "s3://bucket/x"),
    ):
        with pytest.raises(UserError, match=f"{option} {value} needs Ray, and --executor inline"):
            read(space, "--executor", "inline", option, value)


def test_a_fixed_seed_wins_over_the_option(space: SearchSpace[Any]) -> None:
    options = read(space, "--seed", 7, "--set", "seed=3")
    assert (options.seed, options.fixed) == (7, {"seed": 3})
    assert read(space, "--seed", 0).fixed == {"seed": 0}


def test_repeating_seeds_needs_arms_or_a_confirmation(
    change: Any, space: SearchSpace[Any]
) -> None:
    with pytest.raises(UserError, match=r"--seeds 3: trivial has no arms(.|\n)*--confirm K"):
        read(space, "--seeds", 3)
    assert read(space, "--seeds", 3, "--confirm", 2).seeds == 3
    assert read(change(arms=({"momentum": True},)), "--seeds", 3).seeds == 3


@pytest.mark.parametrize(
    "words",
    [
        *(["--fresh"], ["--trials", 9], ["--reports", 99], ["--seed", 0], ["--sampler", "gp"]),
        *(["--scheduler", "none"], ["--control", 2], ["--tune-arms", 0], ["--compare", "width"]),
        ["--set", "width=3"],
    ],
)
def test_what_has_no_effect_on_a_confirmation_is_refused(
    words: list[object], space: SearchSpace[Any]
) -> None:
    read(space, *words)
    with pytest.raises(UserError, match=f"--confirm 2 and {words[0]} exclude each other"):
        read(space, "--confirm", 2, *words)


def test_a_confirmation_has_options_of_its_own(space: SearchSpace[Any]) -> None:
    options = read(space, "--confirm", 2, "--resume", "--concurrency", 2, "--time-budget", "1h")
    assert (options.confirm, options.resume_mode, options.concurrency) == (2, "resume", 2)


def test_a_teacher_brings_its_defaults(change: Any, space: SearchSpace[Any]) -> None:
    with pytest.raises(UserError, match="uses no teacher: leave --teacher out"):
        read(space, "--teacher", "runs:/abc")
    taught = change(teacher_defaults={"width": 4, "momentum": True})
    options = read(taught, "--teacher", "runs:/abc", "--set", "width=3")
    assert options.fixed == {"width": 3, "momentum": True}
    assert options.teacher == "runs:/abc"


def test_resume_and_fresh_exclude_each_other(
    space: SearchSpace[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(space, "--resume").resume_mode == "resume"
    with pytest.raises(SystemExit):
        read(space, "--resume", "--fresh")
    assert "not allowed with" in capsys.readouterr().err
