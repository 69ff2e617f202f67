"""The commands to run next, the winner's configuration, and the key facts."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from reports.chapters.next_steps import measure_wall_time, write_key_facts, write_next_steps
from reports.chapters.outcomes.timeline import Span
from reports.read.winner import choose_winner
from tests.support.make_search import make_search, make_trial

COMMAND = (
    "python -m trainables.tune --space digits --trials 3 --storage '/my runs' --data=synthetic"
)


def write(command: str = COMMAND, **about: Any) -> str:
    params = {"learning_rate": "0.1", "kind": "it's", "sizes": "[1, 2]", "pretrained": "None"}
    tags = {"command": command, "reports": "9", **about.pop("tags", {})}
    search = make_search(make_trial(0, 0.9, params=params), tags=tags)
    search = replace(search, space="digits", **about)
    return write_next_steps(search, choose_winner(search))


def find_blocks(text: str) -> list[str]:
    return [part.partition("\n")[2].rstrip() for part in text.split("```")[1::2]]


def test_the_commands_can_be_copied_and_train_the_winner() -> None:
    confirm, train, config, _ = find_blocks(write(tracking_uri="sqlite:////my runs/mlflow.db"))
    assert shlex.split(confirm) == [
        *("python", "-m", "trainables.tune", "--space", "digits", "--storage", "/my runs"),
        *("--data", "synthetic", "--confirm", "3", "--seeds", "5"),
    ]
    assert shlex.split(train) == [
        *("python", "-m", "trainables.train", "--space", "digits", "--data", "synthetic"),
        *("--set", "learning_rate=0.1", "--set", "kind=it's", "--set", "sizes=[1, 2]"),
        *("--set", "pretrained=None", "--reports", "9"),
    ]
    assert json.loads(config) == {
        "learning_rate": 0.1,
        "kind": "it's",
        "sizes": [1, 2],
        "pretrained": None,
    }


def test_a_search_without_ray_is_confirmed_without_ray() -> None:
    confirm, train, *_ = find_blocks(write(f"{COMMAND} --executor inline"))
    assert "--executor inline --confirm 3" in confirm
    assert "--executor" not in train


def test_a_teacher_in_a_folder_is_kept() -> None:
    confirm, train, *_ = find_blocks(write(f"{COMMAND} --trust-code --teacher /my/model"))
    for command in (confirm, train):
        words = shlex.split(command)
        assert words[words.index("--trust-code") + 1] == "--teacher"
        assert words[words.index("--teacher") + 1] == "/my/model"


def test_a_teacher_in_mlflow_gives_the_configuration_alone() -> None:
    text = write(f"{COMMAND} --teacher runs:/ab")
    confirm, config, _ = find_blocks(text)
    assert "--teacher runs:/ab" in confirm
    assert json.loads(config)["kind"] == "it's"
    assert "trained with `--teacher` `runs:/ab`" in text


def test_a_space_file_is_named_by_its_path() -> None:
    assert "--space '/my dir/mine.py'" in write(tags={"space_file": "/my dir/mine.py"})


def test_a_search_of_python_code_has_a_configuration_and_no_command() -> None:
    (config,) = find_blocks(
        write(command="python", tracking_uri="http://host:5000", experiment="7")
    )
    assert json.loads(config)["kind"] == "it's"


def test_a_server_is_a_link_and_a_database_a_command_without_password() -> None:
    text = write(tracking_uri="http://me:secret@host:5000", experiment="7")
    assert "[in MLflow](<http://host:5000/#/experiments/7/runs?" in text
    assert "secret" not in text
    text = write(tracking_uri="sqlite:///x.db?password=s3cr3t", experiment="7")
    assert "mlflow ui --backend-store-uri" in text
    assert "s3cr3t" not in text
    assert "http://127.0.0.1:5000/#/experiments/7/runs?" in text


def test_an_unfinished_search_says_how_it_continues() -> None:
    assert "`--resume` continues" in write(tags={"trials": "5"}, is_finished=False)


def test_pauses_are_no_wall_time() -> None:
    trial = make_trial(0)
    spans = [Span(start, end, "cpu", trial) for start, end in ((0, 10), (5, 12), (100, 101))]
    assert measure_wall_time(spans) == 13
    assert measure_wall_time([]) == 0


def test_the_key_facts_are_a_table() -> None:
    trials = [
        make_trial(0, 0.9, tags={"default": "", "spans": '[[0, 60, "cpu"]]'}),
        make_trial(1, 0.95, tags={"spans": '[[30, 90, "cpu"]]'}),
        make_trial(2, 0.5, outcome="stopped"),
    ]
    search = make_search(*trials)
    test: Any = SimpleNamespace(accuracy=None, confirmed=None)
    text = write_key_facts(search, choose_winner(search), test)
    assert "| winner | trial 1 |" in text
    assert "| its best validation_accuracy | 95.00 % |" in text
    assert "| default's best validation_accuracy | 90.00 % |" in text
    assert "| trials | 3: 2 complete and 1 stopped |" in text
    assert "| wall time | 1 min 30 s |" in text
