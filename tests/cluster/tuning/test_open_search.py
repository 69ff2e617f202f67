"""Which search is meant, what is checked before it runs, and how its folder is created."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from cluster.ledger.ledger import Ledger
from cluster.ledger.newest import find_newest
from cluster.ledger.settings import SearchSettings, read_settings
from cluster.options import Options, ResumeMode
from cluster.storage.storage import Storage
from cluster.tuning import open_search
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.predictor import GroundTruth
from trainables.run import Run

SETTINGS = SearchSettings(space="toy", metric="loss", mode="min", trials=4, reports=3)


def test_an_existing_search_is_not_started_again(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    assert open_search.find_search(storage, "toy", None) is None
    assert open_search.find_search(storage, "toy", "resume") is None  # starts a new one
    begin()
    with pytest.raises(UserError, match=r"runs/toy\n(.|\n)*--resume(.|\n)*--fresh"):
        open_search.find_search(storage, "toy", None)
    assert open_search.find_search(storage, "toy", "resume") == storage / "toy"
    assert open_search.find_search(storage, "toy", "fresh") is None
    assert open_search.find_search(storage, "to", None) is None


def test_a_fresh_search_starts_beside_one_of_another_version(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    (begin().folder / "search.json").write_text('{"space": "toy", "old": 1}')
    assert open_search.find_search(tmp_path / "runs", "toy", "fresh") is None
    old = open_search.find_search(tmp_path / "runs", "toy", "resume")
    assert old is not None
    with pytest.raises(UserError, match="another version"):
        read_settings(old)


def test_a_search_is_not_continued_beside_its_copy(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    shutil.copytree(begin().folder, storage / "toy-2")
    with pytest.raises(UserError, match=r"runs/toy and .*runs/toy-2 hold the same(.|\n)*--fresh"):
        open_search.find_search(storage, "toy", "resume")
    assert open_search.find_search(storage, "toy", "fresh") is None
    shutil.move(storage / "toy-2", tmp_path)
    assert open_search.find_search(storage, "toy", "resume") == storage / "toy"


def test_a_search_in_a_renamed_folder_is_neither_passed_over_nor_started_again(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    begin().folder.rename(storage / "kept")
    modes: tuple[ResumeMode, ...] = (None, "resume")
    for mode in modes:
        with pytest.raises(UserError, match=r"runs/kept holds a search of toy(.|\n)*--fresh"):
            open_search.find_search(storage, "toy", mode)
    assert open_search.find_search(storage, "toy", "fresh") is None
    second = begin().folder
    assert open_search.find_search(storage, "toy", "resume") == second


def test_of_two_drivers_that_start_at_once_one_is_rejected(tmp_path: Path) -> None:
    """Both have looked for a search, and found none."""
    open_search.create_search(tmp_path, SETTINGS, GroundTruth(), None)
    modes: tuple[ResumeMode, ...] = (None, "resume")
    for mode in modes:
        with pytest.raises(UserError, match="another process has just started the search in"):
            open_search.create_search(tmp_path, SETTINGS, GroundTruth(), mode)
    beside = open_search.create_search(tmp_path, SETTINGS, GroundTruth(), "fresh")
    assert beside.folder.name == "toy-2"


def test_targets_are_written_before_the_settings_make_it_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = GroundTruth(targets={"validation": np.array([3, 1]), "test": np.array([2, 0, 1])})

    def kill(*_: object) -> None:
        raise SystemError("kill -9")

    with monkeypatch.context() as killed:
        killed.setattr(open_search, "write_settings", kill)
        with pytest.raises(SystemError):
            open_search.create_search(tmp_path, SETTINGS, truth)
    assert find_newest(tmp_path, "toy") is None
    ledger = open_search.create_search(tmp_path, SETTINGS, truth)
    assert find_newest(tmp_path, "toy") == ledger.folder
    table = pq.read_table(ledger.folder / "data" / "test.parquet").to_pydict()
    assert table == {"id": [0, 1, 2], "target": [2, 0, 1]}
    assert read_settings(ledger.folder).id == ledger.id


def test_the_parts_of_the_data_are_written_beside_the_targets(tmp_path: Path) -> None:
    targets = {"validation": np.array([3, 1]), "test": np.array([2])}
    truth = GroundTruth(targets=targets, groups={"validation": np.array(["gcd", "lcm"])})
    folder = open_search.create_search(tmp_path, SETTINGS, truth).folder / "data"
    tables = {split: pq.read_table(folder / f"{split}.parquet") for split in targets}
    assert tables["validation"]["group"].to_pylist() == ["gcd", "lcm"]
    assert tables["test"].column_names == ["id", "target"]


@pytest.mark.parametrize("place", ["/proc/nowhere", "file/below"])
def test_a_storage_that_cannot_be_written_to_is_rejected(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to the storage folder (.|\n)*--storage"):
        open_search.check_writable(tmp_path / place)


def test_the_storage_folder_is_created_and_left_clean(tmp_path: Path) -> None:
    open_search.check_writable(tmp_path / "a" / "b")
    (tmp_path / "a" / "search.json").touch()
    with pytest.raises(UserError, match=f"the folder of a search.*\n.*--storage {tmp_path}$"):
        open_search.check_writable(tmp_path / "a")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_search_continues_only_on_the_same_data(begin: Callable[..., Ledger]) -> None:
    ledger = begin(provenance={"data_fingerprint": "abc"})
    open_search.check_same_data(ledger, GroundTruth(fingerprint="abc"))
    with pytest.raises(UserError, match=r"data have changed(.|\n)*abc\n.* def\n.*--fresh"):
        open_search.check_same_data(ledger, GroundTruth(fingerprint="def"))
    with pytest.raises(UserError, match=r"now:   none"):
        open_search.check_same_data(ledger, GroundTruth())


def write_teacher(folder: Path) -> Path:
    (folder / "best").mkdir(parents=True)
    (folder / "config.json").write_text('{"space": "digits"}')
    run = Run(1, folder=folder)
    for _ in run.resume(model=torch.nn.Linear(1, 1)):
        run.record({})
    return folder


def test_a_search_continues_only_with_the_same_teacher(tmp_path: Path) -> None:
    teacher = write_teacher(tmp_path / "teacher")
    settings = replace(SETTINGS, teacher=str(teacher), tracking_uri="sqlite:///none.db")
    run = Run(1, cache=tmp_path / "cache")
    first, with_teacher = open_search.use_teacher(settings, run, Options())
    assert run.teacher is None
    folder = with_teacher.teacher
    assert folder is not None and folder.is_relative_to(tmp_path / "cache")
    assert first.teacher_copy == folder.name
    again, same = open_search.use_teacher(first, run, Options())
    assert (again, same.teacher) == (first, folder)
    manifest = teacher / "best" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(UserError, match="has changed since the search was started"):
        open_search.use_teacher(first, run, Options())
    assert open_search.use_teacher(SETTINGS, run, Options()) == (SETTINGS, run)


def make_options(tmp_path: Path, database: str, **more: Any) -> Options:
    return Options(storage=Storage(tmp_path / "runs", None, database), **more)


def test_a_new_search_is_checked_and_has_no_folder_yet(
    space: SearchSpace[Any], tmp_path: Path, database: str
) -> None:
    search = open_search.open_search(space, Run(9), make_options(tmp_path, database, reports=3))
    assert search.ledger is None
    assert search.run.reports == search.settings.reports == 3
    assert search.settings.provenance["source"] == "real"
    assert search.settings.provenance["question"] == space.question
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_resumed_search_keeps_its_budget_and_provenance(
    space: SearchSpace[Any], tmp_path: Path, database: str
) -> None:
    options = make_options(tmp_path, database, reports=3)
    search = open_search.open_search(space, Run(9), options)
    ledger = open_search.create_search(tmp_path / "runs", search.settings, search.truth)
    ledger.close()
    options = make_options(tmp_path, database, trials=9, resume_mode="resume")
    again = open_search.open_search(space, Run(4), options)
    assert again.ledger is not None
    assert again.run.reports == 3
    assert again.settings == replace(read_settings(ledger.folder), trials=9)
    assert again.ledger.settings == again.settings
    assert again.settings.provenance == search.settings.provenance
    again.ledger.close()


def test_a_search_that_is_rejected_is_not_left_locked(
    space: SearchSpace[Any], tmp_path: Path, database: str
) -> None:
    search = open_search.open_search(space, Run(4), make_options(tmp_path, database))
    open_search.create_search(tmp_path / "runs", search.settings, search.truth).close()
    wrong = make_options(tmp_path, database, sampler="gp", resume_mode="resume")
    for _ in range(2):
        with pytest.raises(UserError, match="was started with other settings"):
            open_search.open_search(space, Run(4), wrong)
