"""A trial whose log is lost is named, and begins again without harm to the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.damage import INDEX, read_index
from cluster.ledger.files import attempt_folder, log_path
from cluster.ledger.ledger import Ledger
from tests.support.reports import make_history
from trainables.errors import DamagedFileError


@pytest.fixture
def ended(begin: Callable[..., Ledger]) -> Ledger:
    """Return a closed ledger of three trials, of which the second had two attempts."""
    ledger = begin(trials=3)
    for trial in range(3):
        ledger.add_trial(trial, {"x": trial}, {"x": trial, "seed": 0}, {"arm": str(trial)})
        for _ in range(2 if trial == 1 else 1):
            attempt = ledger.add_attempt(trial)
        attempt_folder(ledger.folder, trial, attempt).mkdir(parents=True)
        ledger.record_reports(trial, make_history([0.5, 0.4]), {})
        ledger.record_outcome(trial, "complete")
    ledger.close()
    return ledger


def _flip(path: Path, text: bytes) -> None:
    content = path.read_bytes()
    place = content.index(text)
    path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])


def _lose(ledger: Ledger, how: str) -> str:
    """Damage the log of trial 1, and return what is to be said of it."""
    path = log_path(ledger.folder, 1)
    match how:
        case "flipped":
            _flip(path, b"0.4")
            return f"{path}, line 5 is damaged"
        case "no folder":
            shutil.rmtree(path.parent)
            return f"{path} is missing"
        case "no file":
            path.unlink()
            return f"{path} is missing"
        case "empty":
            path.write_bytes(b"")
            return f"{path} is empty"
    shutil.copy(log_path(ledger.folder, 2), path)
    return f"{path} is the log of trial 2"


@pytest.mark.parametrize("how", ["flipped", "no folder", "no file", "empty", "swapped"])
def test_a_lost_log_is_named_and_its_trial_begins_again(ended: Ledger, how: str) -> None:
    message = _lose(ended, how)
    with pytest.raises(DamagedFileError, match=r"(?s)restore it, or .*--resume") as error:
        ledgers.reopen_ledger(ended.folder)
    assert str(error.value).startswith(message)
    ledger = ledgers.reopen_ledger(ended.folder, allow_damage=True)
    assert not ledger.finished and sorted(ledger.trial_logs) == [0, 2]
    ledger.restart_damaged()
    (note,) = ledger.notes
    assert note.startswith(message)
    assert "trial 1 begins again with the same configuration" in note
    begun, other = ledger.trial_logs[1], ended.trial_logs[1]
    assert (begun.parameters, begun.config, begun.tags) == ({"x": 1}, other.config, other.tags)
    assert (begun.outcome, begun.reports, begun.started) == (None, [], other.started)
    # Its next attempt finds the files of the last one.
    assert begun.attempts == (0 if how == "no folder" else 2)
    ledger.close()
    again = ledgers.reopen_ledger(ended.folder)
    assert again.trial_logs[1] == begun
    assert [again.trial_logs[n] for n in (0, 2)] == [ended.trial_logs[n] for n in (0, 2)]
    kept = log_path(ended.folder, 1).with_name("reports.damaged-1.jsonl")
    assert kept.exists() == (how not in ("no folder", "no file"))
    assert not kept.exists() or kept.name in note


def test_a_trial_without_a_known_configuration_is_given_up(ended: Ledger) -> None:
    path = log_path(ended.folder, 1)
    (ended.folder / INDEX).unlink()
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    ledger = ledgers.reopen_ledger(ended.folder, allow_damage=True)
    ledger.restart_damaged()
    (note,) = ledger.notes
    assert "line 1 is damaged" in note and "its configuration is lost, too" in note
    assert sorted(ledger.trial_logs) == [0, 2] and not ledger.finished


def test_a_copy_of_another_trials_folder_is_no_trial(ended: Ledger) -> None:
    shutil.copytree(log_path(ended.folder, 0).parent, log_path(ended.folder, 7).parent)
    ledger = ledgers.reopen_ledger(ended.folder, allow_damage=True)
    ledger.restart_damaged()
    (note,) = ledger.notes
    assert "its configuration is lost, too" in note
    assert ledger.trial_logs == ended.trial_logs and ledger.finished
    ledger.close()
    again = ledgers.reopen_ledger(ended.folder)  # told once
    assert again.trial_logs == ended.trial_logs


@pytest.mark.parametrize("how", ["empty", "no file"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_trial_whose_log_and_index_are_lost_is_told_once(
    ended: Ledger, how: str, is_there: bool
) -> None:
    message = _lose(ended, how)
    (ended.folder / INDEX).write_bytes(b"")
    if not is_there:
        (ended.folder / INDEX).unlink()
    with pytest.raises(DamagedFileError, match=message):
        ledgers.reopen_ledger(ended.folder)
    ledger = ledgers.reopen_ledger(ended.folder, allow_damage=True)
    ledger.restart_damaged()
    (note,) = ledger.notes
    assert note.startswith(f"{message}: its configuration is lost, too, and another one is tried")
    ledger.close()
    again = ledgers.reopen_ledger(ended.folder)
    assert not again.damaged and again.trial_logs.keys() == {0, 2}
    again.close()


def test_a_search_of_an_older_version_gets_an_index(ended: Ledger) -> None:
    index = ended.folder / INDEX
    whole = read_index(ended.folder)
    assert [event["config"] for event in whole.values()] == [
        log.config for log in ended.trial_logs.values()
    ]
    index.unlink()
    ledger = ledgers.reopen_ledger(ended.folder)
    ledger.restart_damaged()
    assert ledger.notes == []
    assert read_index(ended.folder) == whole
    ledger.close()


@pytest.mark.parametrize("damage", ["flipped", "cut", "number"])
def test_a_damaged_index_is_completed(ended: Ledger, damage: str) -> None:
    index = ended.folder / INDEX
    whole, content = read_index(ended.folder), index.read_bytes()
    match damage:
        case "flipped":
            _flip(index, b'"seed"')
        case "cut":
            index.write_bytes(content[:-9])
        case "number":
            index.write_bytes(content.replace(b'"trial": 1', b'"trial": 7'))
    ledger = ledgers.reopen_ledger(ended.folder)
    ledger.restart_damaged()
    assert ledger.notes == []
    assert read_index(ended.folder) == whole
    ledger.close()


def test_other_folders_are_no_trials(ended: Ledger) -> None:
    shutil.copytree(ended.folder / "trials" / "001", ended.folder / "trials" / "001 (copy)")
    ledger = ledgers.reopen_ledger(ended.folder)
    assert sorted(ledger.trial_logs) == [0, 1, 2]
    events = [json.loads(line) for line in (ended.folder / INDEX).read_text().splitlines()]
    assert [event["trial"] for event in events] == [0, 1, 2]


@pytest.mark.parametrize("text", [b'"x": 1', b'1, "parameters"', b'"trial": 1'])
def test_a_trial_whose_line_and_log_are_lost_is_told_once(ended: Ledger, text: bytes) -> None:
    """Whatever the flipped bit makes of its number: `3`, or none at all."""
    shutil.rmtree(log_path(ended.folder, 1).parent)
    _flip(ended.folder / INDEX, text)
    problem = f"{ended.folder / INDEX}, line 2 is damaged, and the log of its trial is missing"
    with pytest.raises(DamagedFileError, match="line 2 is damaged"):
        ledgers.reopen_ledger(ended.folder)
    ledger = ledgers.reopen_ledger(ended.folder, allow_damage=True)
    assert list(ledger.damaged.values()) == [problem] and not ledger.finished
    ledger.restart_damaged()
    assert ledger.notes == [f"{problem}: its configuration is lost, too, and another one is tried"]
    assert ledger.trial_logs.keys() == {0, 2}
    ledger.close()
    again = ledgers.reopen_ledger(ended.folder)
    assert not again.damaged and read_index(ended.folder).keys() == {0, 2}
    again.close()
