"""The searches in a storage, as tables and as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cluster.ledger.files import RERUNS
from cluster.ledger.ledger import Ledger, attach_ledger
from cluster.ledger.settings import SearchSettings, read_settings
from cluster.storage.searches import find_folder
from cluster.storage.storage import open_storage
from trainables.errors import UserError

Write = Callable[..., Ledger]
Run = Callable[..., Result]


def read(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.output)
    return found


def test_searches_have_their_state_best_and_next_command(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    write_search(0.5, 0.25).close()
    write_search(0.75).close()
    running = write_search(0.5, space="other")
    found = {
        str(facts["name"]): facts
        for facts in read(run("searches", "--storage", tmp_path, "--json"))
    }
    running.close()
    assert {name: facts["state"] for name, facts in found.items()} == {
        "toy": "finished",
        "toy-2": "interrupted",
        "other": "running",
    }
    assert [found[name]["best"] for name in ("toy", "toy-2")] == [0.25, 0.75]
    first = read_settings(tmp_path / "toy").id
    assert found["toy"]["next"] == f"tunery report {first} --storage {tmp_path}"
    assert found["toy-2"]["next"] == f"tunery tune mine/toy.py --resume --storage {tmp_path}"
    assert found["other"]["next"] == f"tunery stop other --storage {tmp_path}"


def test_only_the_newest_search_of_a_space_can_be_continued(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    for _ in range(2):
        write_search(0.5).close()
    table = run("searches", "--storage", tmp_path).output
    assert "1 of 2" in table
    assert f"tunery report {read_settings(tmp_path / 'toy').id} --storage {tmp_path}" in table
    assert table.count("--resume") == 1


def test_a_command_acts_on_the_search_that_it_was_printed_for(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    storage = open_storage(str(tmp_path))
    ledgers = [write_search(0.5, 0.25) for _ in range(3)]
    for ledger in ledgers:
        ledger.close()
    for ledger in ledgers:
        facts = json.loads(run("show", ledger.id, "--storage", tmp_path, "--json").output)
        assert facts["folder"] == str(ledger.folder)
        name = facts["next"].split()[2]
        assert find_folder(storage, name) == ledger.folder
    first = run("show", "toy", "--storage", tmp_path, "--json")
    assert json.loads(first.output)["name"] == "toy-3"


@pytest.mark.parametrize("name", ["toy-9", "a copy", "[old] toy"])
def test_a_copy_is_listed_as_one_and_no_command_acts_on_it(
    write_search: Write, run: Run, tmp_path: Path, name: str
) -> None:
    ledger = write_search(0.5)
    ledger.close()
    shutil.copytree(ledger.folder, tmp_path / name)
    listed = read(run("searches", "--storage", tmp_path, "--json"))
    found = {str(facts["name"]): facts for facts in listed}
    assert found["toy"]["state"] == "interrupted"
    reason = f"holds the same search as toy: move it out of {tmp_path}"
    assert found[name] == {"name": name, "state": "copy", "reason": reason}
    assert f"{name}: {reason}" in run("searches", "--storage", tmp_path).output.replace("\n", "")
    assert find_folder(open_storage(str(tmp_path)), ledger.id) == ledger.folder


def test_a_renamed_search_is_acted_on_by_its_id(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    ledger = write_search(0.5, 0.25)
    ledger.close()
    ledger.folder.rename(tmp_path / "kept")
    [facts] = read(run("searches", "--storage", tmp_path, "--json"))
    assert facts["next"] == f"tunery report {ledger.id} --storage {tmp_path}"
    assert find_folder(open_storage(str(tmp_path)), ledger.id) == tmp_path / "kept"


def _add_reruns(search: Ledger, ended: int) -> None:
    """Write the re-runs of two trials on two seeds, of which so many have ended."""
    reruns = tuple(({"seed": seed}, {"of": of}) for seed in (7, 8) for of in ("0", "1"))
    settings = SearchSettings(
        space="toy", metric="loss", mode="min", trials=4, reports=1, reruns=reruns
    )
    ledger = attach_ledger(search.folder / RERUNS, settings)
    for trial in range(ended):
        ledger.add_trial(trial, {}, {"width": trial})
        ledger.record_outcome(trial, "complete")
    ledger.close()


@pytest.mark.parametrize(
    ("ended", "state", "command"),
    [
        (3, "interrupted", "confirm mine/toy.py --confirm 1 --seeds 2"),
        (4, "finished", "report toy"),
    ],
)
def test_a_confirmation_that_was_interrupted_is_continued(
    write_search: Write, run: Run, tmp_path: Path, ended: int, state: str, command: str
) -> None:
    search = write_search(0.5, 0.25)
    _add_reruns(search, ended)
    search.close()
    [facts] = read(run("searches", "--storage", tmp_path, "--json"))
    assert facts["state"] == state
    assert facts["next"] == f"tunery {command} --storage {tmp_path}"


def test_arms_that_are_not_all_run_again_are_continued_with_their_search(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    search = write_search(0.5, 0.25)
    search.update_settings(tune_arms=1)
    for ended in (None, 3):
        if ended is not None:
            _add_reruns(search, ended)
        search.close()
        [facts] = read(run("searches", "--storage", tmp_path, "--json"))
        assert facts["state"] == "interrupted"
        assert facts["next"] == f"tunery tune mine/toy.py --resume --storage {tmp_path}"


def test_a_damaged_search_is_listed_with_the_reason(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    ledger = write_search(0.5)
    ledger.close()
    (ledger.folder / "search.json").write_text("{")
    [facts] = read(run("searches", "--storage", tmp_path, "--json"))
    assert facts["state"] == "unreadable"
    assert "search.json" in str(facts["reason"])
    assert "cannot read" in run("searches", "--storage", tmp_path).output


def test_show_has_settings_best_configuration_and_last_trials(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    write_search(0.5, 0.25, 0.75).close()
    facts = json.loads(run("show", "toy", "--storage", tmp_path, "--json").output)
    assert facts["best_trial"]["config"] == {"width": 1, "depth": 2}
    assert [trial["score"] for trial in facts["last_trials"]] == [0.5, 0.25, 0.75]
    assert facts["settings"]["fixed"] == {"depth": 2}
    text = run("show", "toy", "--storage", tmp_path).output
    assert "trial 1: width=1  depth=2" in text
    assert "best loss (min): 0.25" in text


def test_an_unknown_search_is_told_with_those_that_there_are(
    write_search: Write, run: Run, tmp_path: Path
) -> None:
    write_search(0.5).close()
    with pytest.raises(UserError, match=r"no search 'tyo' in .* has: toy"):
        raise run("show", "tyo", "--storage", tmp_path).exception or AssertionError
    assert "there is no search in" in run("searches", "--storage", tmp_path / "empty").output
