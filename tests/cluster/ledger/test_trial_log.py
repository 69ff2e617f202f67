"""The log of a trial: what its file adds up to, whole or damaged."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger import trial_log
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure, Report, TrialLog, append_event, read_trial_log
from tests.support.reports import make_history
from trainables.errors import DamagedFileError, UserError


@pytest.fixture
def stopped(begin: Callable[..., Ledger]) -> Ledger:
    """Return a ledger whose trial 0 failed once, and was stopped after its third report."""
    ledger = begin()
    ledger.add_trial(0, {"width": 3}, {"width": 3, "seed": 0})
    ledger.add_attempt(0)
    ledger.record_reports(0, make_history([0.5, math.nan]), {"parameters": 7.0})
    ledger.record_failure(0, Failure("failed", "RuntimeError: è rotto", "Traceback: è rotto"))
    ledger.add_attempt(0)
    ledger.record_reports(0, make_history([0.5, math.nan, 0.25]), {})
    ledger.record_outcome(0, "stopped", "scheduler")
    return ledger


def log_file(ledger: Ledger, trial: int = 0) -> Path:
    return ledger.folder / "trials" / f"{trial:03d}" / "reports.jsonl"


def test_a_log_is_read_as_it_was_written(stopped: Ledger) -> None:
    before = stopped.trial_logs[0]
    after = read_trial_log(log_file(stopped))
    assert after is not None
    assert (after.parameters, after.config) == (before.parameters, before.config)
    assert after.facts == {"parameters": 7.0}
    assert [r.report for r in after.reports] == [1, 2, 3]
    assert math.isnan(after.reports[1].metrics["loss"])
    assert [r.time for r in after.reports] == [r.time for r in before.reports]
    assert (after.outcome, after.reason, after.attempts) == ("stopped", "scheduler", 2)
    assert after.failures == [Failure("failed", "RuntimeError: è rotto", "Traceback: è rotto")]
    assert (after.done, after.seconds) == (3, 3.0)


def test_the_best_report_is_the_first_of_the_best_finite_scores(stopped: Ledger) -> None:
    log = stopped.trial_logs[0]
    assert log.find_best_report("loss", "min") == (0.25, 3)
    assert log.find_best_report("loss", "max") == (0.5, 1)


def test_a_reader_leaves_a_line_that_is_being_written(stopped: Ledger) -> None:
    path = log_file(stopped)
    path.write_bytes(path.read_bytes()[:-10])
    content = path.read_bytes()
    found = read_trial_log(path)
    assert found is not None
    assert (found.done, found.outcome) == (3, None)
    assert path.read_bytes() == content
    read_trial_log(path, repair=True)
    assert path.read_bytes() == content[: content.rfind(b"\n") + 1]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_truncated_last_line_is_ignored(
    stopped: Ledger, reopen: Callable[[Ledger], Ledger], cut: int
) -> None:
    path = log_file(stopped)
    path.write_bytes(path.read_bytes()[:-cut])
    again = reopen(stopped)
    assert again.trial_logs[0].outcome is None
    assert again.trial_logs[0].done == 3
    again.record_outcome(0, "complete")
    assert reopen(again).trial_logs[0].outcome == "complete"


def test_a_trial_whose_first_line_is_truncated_is_told(begin: Callable[..., Ledger]) -> None:
    ledger = begin()
    log_file(ledger).parent.mkdir(parents=True)  # killed before it was in the index, too
    log_file(ledger).write_text('{"trial": 0, "val')
    ledger.close()
    again = ledgers.reopen_ledger(ledger.folder, allow_damage=True)
    assert again.trial_logs == {}
    again.restart_damaged()
    assert "is empty: its configuration is lost, too, and another one is tried" in again.notes[0]
    again.add_trial(0, {"width": 1}, {})
    again.close()
    assert ledgers.reopen_ledger(ledger.folder).trial_logs[0].parameters == {"width": 1}


@pytest.mark.parametrize(
    "damage",
    [
        *(b"\xff\xfe\x00" * 900, b'{"report": 1', b"17", b'{"report": 1}', b"{}"),
        *(
            b'{"report": 5, "seconds": 1.0, "metrics": {}, "time": 1.0}',
            b'{"attempt": 1, "#crc32": 3}',
        ),
    ],
)
def test_a_damaged_line_is_named(
    stopped: Ledger, reopen: Callable[[Ledger], Ledger], damage: bytes
) -> None:
    lines = log_file(stopped).read_bytes().splitlines()
    lines[3] = damage
    log_file(stopped).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError, match=r"000/reports\.jsonl, line 4 is damaged") as told:
        reopen(stopped)
    assert len(str(told.value)) < 800


def test_any_flipped_bit_of_a_log_is_noticed(stopped: Ledger) -> None:
    path = log_file(stopped)
    content = path.read_bytes()
    before = stopped.trial_logs[0]
    for place in range(3, len(content), 41):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            found = read_trial_log(path)
        except DamagedFileError as error:
            assert f"{path}, line {content[:place].count(10) + 1} is damaged: " in str(error)
            continue
        # A flip in the name of a checksum, or an end of a line that is cut off: nothing is wrong.
        assert found is not None
        assert str(found.reports) == str(before.reports)[: len(str(found.reports))]


def test_a_missing_report_is_damage(stopped: Ledger) -> None:
    path = log_file(stopped)
    lines = path.read_bytes().splitlines(keepends=True)
    reports = [number for number, line in enumerate(lines) if b'"report": ' in line]
    path.write_bytes(b"".join(lines[: reports[0]] + lines[reports[0] + 1 :]))
    with pytest.raises(DamagedFileError, match="report 2 follows report 0"):
        read_trial_log(path)


def test_an_intact_event_of_another_version_is_no_damage(stopped: Ledger) -> None:
    append_event(log_file(stopped), {"paused": True, "time": 1.0})
    with pytest.raises(UserError, match="written by another version of Tunery") as error:
        read_trial_log(log_file(stopped))
    assert not isinstance(error.value, DamagedFileError)


def test_a_log_of_an_older_version_has_no_checksums(stopped: Ledger) -> None:
    path = log_file(stopped)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        del event["#crc32"]
    events[0]["values"] = events[0].pop("parameters")
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    found = read_trial_log(path)
    assert found is not None
    assert (found.parameters, found.done, found.outcome) == ({"width": 3}, 3, "stopped")


def test_the_best_report_is_found_in_new_reports_alone(stopped: Ledger) -> None:
    log = stopped.trial_logs[0]
    assert log.find_best_report("loss", "min") == (0.25, 3)
    log.reports[0] = None  # type: ignore[call-overload]  # not looked at again
    log.reports.append(Report(4, 0.0, 4.0, {"loss": 0.25}))
    assert log.find_best_report("loss", "min") == (0.25, 3)
    log.reports.append(Report(5, 0.0, 5.0, {"loss": 0.125}))
    assert log.find_best_report("loss", "min") == (0.125, 5)


def test_notes_are_kept(stopped: Ledger, reopen: Callable[[Ledger], Ledger]) -> None:
    stopped.add_trial(1, {}, {})
    stopped.record_notes(1, ["last is damaged", "è"])
    assert reopen(stopped).trial_logs[1].notes == ["last is damaged", "è"]


def test_a_trial_that_starts_twice_in_its_file_is_damaged(
    stopped: Ledger, reopen: Callable[[Ledger], Ledger]
) -> None:
    path = log_file(stopped)
    first = path.read_text().splitlines()[0]
    with path.open("a") as lines:
        lines.write(first + "\n")
    with pytest.raises(UserError, match="trial 0 starts a second time"):
        reopen(stopped)


def test_half_a_line_on_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reports.jsonl"
    append_event(path, {"trial": 0})
    before = path.read_bytes()
    write = trial_log.os.write
    monkeypatch.setattr(trial_log.os, "write", lambda file, line: write(file, line[:5]))
    with pytest.raises(OSError, match="No space left on device"):
        append_event(path, {"attempt": 1})
    assert path.read_bytes() == before


def test_spans_have_place_and_time_of_every_attempt(
    begin: Callable[..., Ledger], reopen: Callable[[Ledger], Ledger]
) -> None:
    ledger = begin()
    log = ledger.add_trial(9, {}, {})
    ledger.add_attempt(9)
    ledger.record_reports(9, [], {"parameters": 1.0}, "host/cpu")
    ledger.record_reports(9, make_history([1.0]), {}, "host/cpu")
    ledger.add_attempt(9)
    (start, last, place), (start_of_next, _, no_place) = ledger.trial_logs[9].spans
    assert (place, no_place) == ("host/cpu", "")
    assert log.started <= start <= last <= start_of_next
    assert reopen(ledger).trial_logs[9].spans == ledger.trial_logs[9].spans


def test_another_thread_that_sees_an_outcome_sees_everything_else(
    begin: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool, bool]] = []

    class Observed(TrialLog):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "outcome" and value is not None:
                span_ended = self.spans[-1][1] == self.ended
                seen.append((self.reason, self.ended > 0, span_ended))

    monkeypatch.setattr(trial_log, "TrialLog", Observed)
    ledger = begin()
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    ledger.record_outcome(0, "stopped", "scheduler")
    assert seen == [("scheduler", True, True)]
