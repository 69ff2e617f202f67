"""A search's folder: one driver, every trial once, and only the files that are needed."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from cluster.ledger.settings import FILE, read_settings
from tests.support.reports import make_history
from trainables.errors import UserError


def log_file(ledger: Ledger, trial: int) -> Path:
    return ledger.folder / "trials" / f"{trial:03d}" / "reports.jsonl"


def save_files(ledger: Ledger, trial: int) -> Path:
    """Write what a worker saves: the best weights, the state to resume from, predictions."""
    attempt = ledger.latest_attempt(trial)
    for kind in ("best", "last"):
        (attempt / kind).mkdir(parents=True)
        (attempt / kind / "manifest.json").write_text("{}")
        (attempt / kind / "state-1.safetensors").write_bytes(b"x")
    (attempt / "best" / "validation.parquet").write_bytes(b"x")
    return attempt


@pytest.fixture
def stopped(begin: Callable[..., Ledger]) -> Ledger:
    """Return a ledger whose trial 0 was stopped after three reports."""
    ledger = begin()
    ledger.add_trial(0, {"width": 3}, {"width": 3, "seed": 0})
    ledger.add_attempt(0)
    ledger.record_reports(0, make_history([0.5, 0.4, 0.25]), {"parameters": 7.0})
    ledger.record_outcome(0, "stopped", "scheduler")
    return ledger


def test_a_ledger_is_reopened_as_it_was(
    stopped: Ledger, reopen: Callable[[Ledger], Ledger]
) -> None:
    again = reopen(stopped)
    assert again.trial_logs == stopped.trial_logs
    assert again.settings == stopped.settings
    assert (again.id, again.name) == (stopped.id, "toy")
    assert (again.metric, again.mode) == ("loss", "min")


def test_events_keep_their_order_though_the_clock_is_set_forward_and_back(
    stopped: Ledger, reopen: Callable[[Ledger], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    for trial, now in enumerate((0.0, 1e12), 1):
        monkeypatch.setattr("time.time", lambda now=now: now)
        stopped.add_trial(trial, {}, {})
        stopped.add_attempt(trial)
        stopped.record_reports(trial, make_history([0.5, 0.4]), {})
    monkeypatch.setattr("time.time", lambda: 0.0)
    again = reopen(stopped)
    again.record_outcome(2, "complete")
    times = [
        time
        for log in again.trial_logs.values()
        for time in (log.started, *(report.time for report in log.reports), log.last)
    ]
    assert times == sorted(times)
    assert times[-1] - times[0] < 100


def test_reports_that_arrive_twice_or_after_the_outcome_are_written_once(stopped: Ledger) -> None:
    lines = log_file(stopped, 0).read_text()
    assert not stopped.record_reports(0, make_history([9.0] * 4), {"parameters": 1.0})
    stopped.record_outcome(0, "failed")
    assert log_file(stopped, 0).read_text() == lines
    stopped.add_trial(1, {}, {})
    assert stopped.record_reports(1, make_history([1.0]), {})
    assert stopped.record_reports(1, make_history([5.0, 2.0]), {})
    assert [r.metrics["loss"] for r in stopped.trial_logs[1].reports] == [1.0, 2.0]


def test_the_number_of_a_trial_is_not_used_twice(stopped: Ledger) -> None:
    with pytest.raises(ValueError, match=r"trial 0 of .* already exists"):
        stopped.add_trial(0, {}, {})


def test_changed_settings_are_written(stopped: Ledger) -> None:
    stopped.update_settings(trials=9, resources={"cpu": 1.0})
    assert stopped.settings.trials == 9
    assert read_settings(stopped.folder) == stopped.settings


def _hold(folder: Path, taken: "multiprocessing.Queue[bool]") -> None:
    ledger = ledgers.reopen_ledger(folder)
    taken.put(ledger.lock.is_locked)
    multiprocessing.Event().wait(60)


def test_a_search_has_one_driver_and_a_killed_one_leaves_no_lock(
    begin: Callable[..., Ledger],
) -> None:
    ledger = begin()
    ledger.close()
    context = multiprocessing.get_context("spawn")
    taken: multiprocessing.Queue[bool] = context.Queue()
    other = context.Process(target=_hold, args=(ledger.folder, taken), daemon=True)
    other.start()
    assert taken.get(timeout=50)
    with pytest.raises(UserError, match=r"another process is running the search in .*toy"):
        ledgers.reopen_ledger(ledger.folder)
    other.kill()
    other.join()
    ledgers.reopen_ledger(ledger.folder).close()


def test_a_search_that_cannot_be_read_is_not_left_locked(stopped: Ledger) -> None:
    stopped.close()
    (stopped.folder / FILE).write_text('{"metric": ')
    for _ in range(2):
        with pytest.raises(UserError, match=r"cannot read .*search\.json"):
            ledgers.reopen_ledger(stopped.folder)


def test_only_the_best_trials_keep_their_weights(begin: Callable[..., Ledger]) -> None:
    ledger = begin()
    trials = range(KEPT_WEIGHTS + 4)
    for trial in trials:
        ledger.add_trial(trial, {}, {})
        ledger.add_attempt(trial)
        ledger.record_reports(trial, make_history([float((trial * 5) % len(trials))]), {})
        attempt = save_files(ledger, trial)
        ledger.record_outcome(trial, "stopped" if trial % 2 else "complete")
        ledger.prune(trial)
        assert not (attempt / "last").exists()
        assert (attempt / "best" / "validation.parquet").exists()
    have = {
        int(path.parents[2].name) for path in ledger.folder.glob("trials/*/*/best/manifest.json")
    }
    # The complete trials come first, then the stopped ones.
    order = sorted(trials, key=lambda trial: (trial % 2, (trial * 5) % len(trials)))
    best = order[:KEPT_WEIGHTS]
    assert have == set(best) == {log.trial for log in ledger.top_trials}
    assert [s.trial for s in ledger.rank_trials(ledger.trial_logs.values())][:KEPT_WEIGHTS] == best
    assert {t for t in trials if ledger.keeps_weights(ledger.trial_logs[t])} == set(best)


def test_diverged_and_failed_trials_and_old_attempts_keep_no_files(
    begin: Callable[..., Ledger], reopen: Callable[[Ledger], Ledger]
) -> None:
    ledger = begin()
    for trial, outcome in enumerate(("diverged", "failed", "complete")):
        ledger.add_trial(trial, {}, {})
        for _ in range(2):
            ledger.add_attempt(trial)
            save_files(ledger, trial)
        ledger.record_reports(trial, make_history([1.0]), {})
        ledger.record_outcome(trial, outcome)  # type: ignore[arg-type]
    reopen(ledger)  # the driver was killed before it pruned them
    assert [p.name for p in sorted(ledger.folder.glob("trials/*/attempt-*"))] == ["attempt-2"]
    assert (ledger.folder / "trials/002/attempt-2/best/manifest.json").exists()


def test_what_a_failed_trial_has_printed_is_kept(begin: Callable[..., Ledger]) -> None:
    ledger = begin()
    ledger.add_trial(0, {}, {})
    for _ in range(2):
        ledger.add_attempt(0)
        save_files(ledger, 0)
        (ledger.latest_attempt(0) / OUTPUT).write_text("printed\n")
    ledger.record_outcome(0, "failed")
    ledger.prune(0)
    left = [p.relative_to(ledger.folder).as_posix() for p in ledger.folder.glob("trials/000/*/*")]
    assert left == [f"trials/000/attempt-2/{OUTPUT}"]


def test_a_search_is_finished_when_every_requested_trial_has_ended(
    begin: Callable[..., Ledger],
) -> None:
    ledger = begin(trials=2)
    for trial in (0, 3):  # the numbers between were infeasible
        assert not ledger.finished
        ledger.add_trial(trial, {}, {})
        assert not ledger.finished
        ledger.record_outcome(trial, "complete")
    assert ledger.finished


def test_a_ledger_inside_a_search_has_its_own_settings(stopped: Ledger) -> None:
    folder = stopped.folder / "confirm"
    inner = ledgers.attach_ledger(folder, stopped.settings)
    inner.update_settings(name="toy-confirm")
    assert (inner.name, stopped.name) == ("toy-confirm", "toy")
    assert read_settings(stopped.folder).name == ""


def test_a_search_of_another_version_is_rejected_by_name(begin: Callable[..., Ledger]) -> None:
    old = begin()
    old.close()
    (old.folder / "search.json").write_text('{"space": "toy", "going": "fresh"}')
    with pytest.raises(UserError, match=r"another version of Tunery \(going, metric"):
        ledgers.reopen_ledger(old.folder)


def test_the_best_re_run_of_every_configuration_keeps_its_weights(
    begin: Callable[..., Ledger],
) -> None:
    ledger = begin(kind="confirmation")
    for trial in range(2 * KEPT_WEIGHTS):
        of = "1" if trial in (3, 7) else "0"  # the worst of all, but the best two of trial 1
        ledger.add_trial(trial, {}, {"width": trial}, {"of": of})
        ledger.add_attempt(trial)
        loss = 9.0 - trial / 100 if of == "1" else 0.1
        ledger.record_reports(trial, make_history([loss]), {})
        ledger.record_outcome(trial, "complete")
        ledger.prune(trial)
    top = {log.trial for log in ledger.top_trials}
    assert len(top) == KEPT_WEIGHTS
    assert 7 in top
    assert 3 not in top
