from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.options import ResumeMode
from cluster.tuning import open_search
from trainables.errors import UserError
from trainables.predictor import GroundTruth

SETTINGS = {"trials": 4, "reports": 3, "sampler": "tpe", "fixed": {"width": 2}, "seed": 0}


def test_a_search_that_is_there_is_not_begun_again(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    assert open_search.find_search(storage, "toy", None) is None
    assert (
        open_search.find_search(storage, "toy", "resume") is None
    )  # nothing there: starts afresh
    begin()
    with pytest.raises(UserError, match=r"runs/toy\n(.|\n)*--resume(.|\n)*--fresh"):
        open_search.find_search(storage, "toy", None)
    assert open_search.find_search(storage, "toy", "resume") == storage / "toy"
    assert open_search.find_search(storage, "toy", "fresh") is None
    assert open_search.find_search(storage, "to", None) is None


def test_of_two_drivers_that_begin_at_once_one_is_refused(tmp_path: Path) -> None:
    """Both have looked, and found nothing there."""
    settings = {"metric": "loss", "mode": "min"}
    open_search.create_search(tmp_path, "toy", settings, GroundTruth(), None)
    second: tuple[ResumeMode, ...] = (None, "resume")
    for going in second:
        with pytest.raises(UserError, match="another process has just begun the search in"):
            open_search.create_search(tmp_path, "toy", settings, GroundTruth(), going)
    beside = open_search.create_search(tmp_path, "toy", settings, GroundTruth(), "fresh")
    assert beside.folder.name == "toy-2"


def test_settings_left_out_are_the_searchs_own_and_more_trials_extend() -> None:
    nothing = dict.fromkeys(SETTINGS)
    assert open_search.merge_settings(Path("x"), SETTINGS, nothing) == SETTINGS
    assert open_search.merge_settings(Path("x"), SETTINGS, {"trials": 9}) == {
        **SETTINGS,
        "trials": 9,
    }
    assert (
        open_search.merge_settings(Path("x"), SETTINGS, {"trials": 4, "sampler": "tpe"})
        == SETTINGS
    )


def test_all_settings_that_differ_are_listed_at_once() -> None:
    given = {"trials": 3, "sampler": "gp", "fixed": {"width": 4}, "reports": 3}
    with pytest.raises(UserError) as error:
        open_search.merge_settings(Path("runs/toy"), SETTINGS, given)
    for line in ("runs/toy", "trials: 4 there, 3 now", "sampler: 'tpe' there, 'gp' now"):
        assert line in str(error.value)
    assert "fixed: {'width': 2} there, {'width': 4} now" in str(error.value)
    assert "reports" not in str(error.value)


def test_the_answers_lie_beside_the_trials_before_the_search_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = GroundTruth(targets={"validation": np.array([3, 1]), "test": np.array([2, 0, 1])})
    settings = {"metric": "loss", "mode": "min"}
    with monkeypatch.context() as killed:
        killed.setattr(ledgers, "write_settings", lambda *_: (_ for _ in ()).throw(SystemError))
        with pytest.raises(SystemError):
            open_search.create_search(tmp_path, "toy", settings, truth)
    assert ledgers.find_newest(tmp_path, "toy") is None
    ledger = open_search.create_search(tmp_path, "toy", settings, truth)
    assert ledgers.find_newest(tmp_path, "toy") == ledger.folder
    table = pq.read_table(ledger.folder / "data" / "test.parquet").to_pydict()
    assert table == {"id": [0, 1, 2], "target": [2, 0, 1]}
    assert ledgers.read_settings(ledger.folder)["id"] == ledger.id


@pytest.mark.parametrize("place", ["/proc/nowhere", "file/below"])
def test_a_storage_that_cannot_be_written_to(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written to(.|\n)*--storage"):
        open_search.check_storage(tmp_path / place)


def test_the_storage_folder_is_made_and_left_clean(tmp_path: Path) -> None:
    open_search.check_storage(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_the_parts_of_the_data_lie_beside_the_answers(tmp_path: Path) -> None:
    targets = {"validation": np.array([3, 1]), "test": np.array([2])}
    truth = GroundTruth(targets=targets, groups={"validation": np.array(["gcd", "lcm"])})
    ledger = open_search.create_search(tmp_path, "toy", {"metric": "loss", "mode": "min"}, truth)
    folder = ledger.folder / "data"
    tables = {split: pq.read_table(folder / f"{split}.parquet") for split in targets}
    assert tables["validation"]["group"].to_pylist() == ["gcd", "lcm"]
    assert tables["test"].column_names == ["id", "target"]
