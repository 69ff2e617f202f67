import math
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import KEPT_WEIGHTS, Ledger
from trainables.errors import UserError


def entry(report: int, loss: float) -> dict[str, object]:
    return {"report": report, "seconds": float(report), "metrics": {"loss": loss}}


def stories_file(ledger: Ledger, trial: int) -> Path:
    return ledger.folder / "trials" / f"{trial:03d}" / "reports.jsonl"


def weights(ledger: Ledger, trial: int) -> Path:
    """Leave what a worker leaves: weights to use, weights to go on, predictions."""
    attempt = ledger.latest_attempt(trial)
    for kind in ("best", "last"):
        (attempt / kind).mkdir(parents=True)
        (attempt / kind / "manifest.json").write_text("{}")
        (attempt / kind / "state-1.safetensors").write_bytes(b"x")
    (attempt / "best" / "validation.parquet").write_bytes(b"x")
    return attempt


@pytest.fixture
def told(begin: Callable[..., Ledger]) -> Ledger:
    ledger = begin()
    ledger.add_trial(0, {"width": 3}, {"width": 3, "seed": 0})
    ledger.add_attempt(0)
    ledger.record_reports(0, [entry(1, 0.5), entry(2, math.nan)], {"parameters": 7.0})
    ledger.error(0, "failed", "Traceback: è rotto")
    ledger.add_attempt(0)
    ledger.record_reports(0, [entry(3, 0.25)], {})
    ledger.record_outcome(0, "stopped", "scheduler")
    return ledger


def test_a_story_survives_its_writer(told: Ledger, reopen: Callable[[Ledger], Ledger]) -> None:
    before = told.trial_logs[0]
    after = reopen(told).trial_logs[0]
    assert (after.values, after.config, after.facts) == (
        before.values,
        before.config,
        {"parameters": 7.0},
    )
    assert [r.report for r in after.reports] == [1, 2, 3]
    assert math.isnan(after.reports[1].metrics["loss"])
    assert [r.time for r in after.reports] == [r.time for r in before.reports]
    assert (after.outcome, after.reason, after.attempts) == ("stopped", "scheduler", 2)
    assert after.errors[0]["error"] == "Traceback: è rotto"
    assert after.best("loss", "min") == (0.25, 3)
    assert after.best("loss", "max") == (0.5, 1)


def test_reports_heard_twice_or_after_the_end_are_written_once(told: Ledger) -> None:
    lines = stories_file(told, 0).read_text()
    assert not told.record_reports(0, [entry(3, 9.0), entry(4, 9.0)], {"parameters": 1.0})
    told.end(0, "failed")
    assert stories_file(told, 0).read_text() == lines
    told.begin(1, {}, {})
    assert told.record_reports(1, [entry(1, 1.0)], {})
    assert told.record_reports(1, [entry(1, 5.0), entry(2, 2.0)], {})
    assert [r.metrics["loss"] for r in told.trial_logs[1].reports] == [1.0, 2.0]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_truncated_last_line_is_forgotten(
    told: Ledger, reopen: Callable[[Ledger], Ledger], cut: int
) -> None:
    path = stories_file(told, 0)
    path.write_bytes(path.read_bytes()[:-cut])
    again = reopen(told)
    assert again.trial_logs[0].outcome is None
    assert again.trial_logs[0].done == 3
    again.end(0, "complete")
    assert reopen(again).trial_logs[0].outcome == "complete"


def test_a_trial_of_which_nothing_was_written_is_none(
    begin: Callable[..., Ledger], reopen: Callable[[Ledger], Ledger]
) -> None:
    ledger = begin()
    ledger.add_trial(0, {}, {})
    stories_file(ledger, 0).write_text('{"trial": 0, "val')
    again = reopen(ledger)
    assert again.trial_logs == {}
    again.begin(0, {"width": 1}, {})
    assert reopen(again).trial_logs[0].values == {"width": 1}


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b'{"report": 1', b"17", b'{"report": 1}'])
def test_a_damaged_line_is_named(
    told: Ledger, reopen: Callable[[Ledger], Ledger], damage: bytes
) -> None:
    lines = stories_file(told, 0).read_bytes().splitlines()
    lines[3] = damage
    stories_file(told, 0).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError, match=r"000/reports\.jsonl, line 4 is damaged"):
        reopen(told)


def test_no_trial_begins_twice(told: Ledger, reopen: Callable[[Ledger], Ledger]) -> None:
    with pytest.raises(ValueError, match=r"trial 0 of .* has begun already"):
        told.begin(0, {}, {})
    path = told.folder / "trials" / "000" / "reports.jsonl"
    first = path.read_text().splitlines()[0]
    with path.open("a") as lines:
        lines.write(first + "\n")
    with pytest.raises(UserError, match="trial 0 begins a second time"):
        reopen(told)


def test_damaged_settings_are_named(told: Ledger, reopen: Callable[[Ledger], Ledger]) -> None:
    (told.folder / "search.json").write_text('{"metric": ')
    with pytest.raises(UserError, match=r"search\.json cannot be read"):
        reopen(told)


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


def test_folders_are_numbered_and_the_newest_is_found(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    folders = [begin().folder.name for _ in range(11)]
    assert folders[:3] == ["toy", "toy-2", "toy-3"]
    begin("toy-story")
    found = ledgers.find_newest(tmp_path / "runs", "toy")
    assert found is not None
    assert found.name == "toy-11"
    (tmp_path / "runs" / "toy-12").mkdir()  # a driver killed before it wrote the settings
    assert ledgers.find_newest(tmp_path / "runs", "toy") == found
    assert begin().folder.name == "toy-13"


def test_only_the_best_keep_their_weights(begin: Callable[..., Ledger]) -> None:
    ledger = begin()
    for trial in range(KEPT_WEIGHTS + 4):
        ledger.add_trial(trial, {}, {})
        ledger.add_attempt(trial)
        loss = float((trial * 5) % (KEPT_WEIGHTS + 4))
        ledger.record_reports(trial, [entry(1, loss)], {})
        attempt = weights(ledger, trial)
        ledger.record_outcome(trial, "stopped" if trial % 2 else "complete")
        ledger.prune(trial)
        assert not (attempt / "last").exists()
        assert (attempt / "best" / "validation.parquet").exists()
    have = {
        int(path.parents[2].name) for path in ledger.folder.glob("trials/*/*/best/manifest.json")
    }
    order = sorted(
        range(KEPT_WEIGHTS + 4), key=lambda trial: (trial % 2, (trial * 5) % (KEPT_WEIGHTS + 4))
    )
    best = order[:KEPT_WEIGHTS]  # the complete, then the stopped
    assert have == set(best) == {trial_log.trial for trial_log in ledger.top_trials}
    assert [s.trial for s in ledger.rank_trials(ledger.trial_logs.values())][:KEPT_WEIGHTS] == best


def test_diverged_and_failed_trials_and_old_attempts_keep_no_files(
    begin: Callable[..., Ledger], reopen: Callable[[Ledger], Ledger]
) -> None:
    ledger = begin()
    for trial, outcome in enumerate(("diverged", "failed", "complete")):
        ledger.add_trial(trial, {}, {})
        for _ in range(2):
            ledger.add_attempt(trial)
            weights(ledger, trial)
        ledger.record_reports(trial, [entry(1, 1.0)], {})
        ledger.record_outcome(trial, outcome)  # type: ignore[arg-type]
    reopen(ledger)  # the driver was killed before it settled them
    assert [p.name for p in sorted(ledger.folder.glob("trials/*/attempt-*"))] == ["attempt-2"]
    assert (ledger.folder / "trials/002/attempt-2/best/manifest.json").exists()


def test_a_search_is_finished_when_every_trial_asked_for_has_ended(
    begin: Callable[..., Ledger],
) -> None:
    ledger = begin(trials=2)
    for trial in (0, 3):  # numbers between were refused
        assert not ledger.finished
        ledger.add_trial(trial, {}, {})
        assert not ledger.finished
        ledger.record_outcome(trial, "complete")
    assert ledger.finished
