"""The tracking server of a search that is continued may have moved, but is never another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger.ledger import Ledger
from cluster.storage.storage import Storage, open_storage
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter
from cluster.tuning import tracking_server
from cluster.tuning.tracking_server import open_server
from trainables.errors import UserError


@pytest.fixture
def written(begin: Callable[..., Ledger], database: str, tmp_path: Path) -> Ledger:
    """Return a search that was written to a database outside of its storage."""
    ledger = begin(tracking_uri=open_server(_open(tmp_path, database), None)[1])
    assert ledger.settings.tracking_uri == database
    writer = MLflowWriter(open_client(database), ledger, lambda: 0)
    writer.start()
    writer.close(finished=False)
    return ledger


def _open(tmp_path: Path, uri: str | None) -> Storage:
    return open_storage(str(tmp_path / "runs"), uri)


def test_a_missing_database_is_not_created_again(
    written: Ledger, database: str, tmp_path: Path
) -> None:
    path = Path(database.removeprefix("sqlite:///"))
    path.unlink()
    for uri in (None, database):
        with pytest.raises(UserError) as caught:
            open_server(_open(tmp_path, uri), written)
        assert f"is missing: {path}" in str(caught.value)
        assert "--tracking-uri sqlite:///PATH" in str(caught.value)
        assert f"python -m cluster.tracking rebuild {written.folder}" in str(caught.value)
    assert not path.exists()


def test_a_search_continues_where_its_database_is_now(
    written: Ledger, database: str, tmp_path: Path
) -> None:
    new = tmp_path / "elsewhere.db"
    shutil.move(database.removeprefix("sqlite:///"), new)
    client, recorded = open_server(_open(tmp_path, f"sqlite:///{new}"), written)
    assert recorded == f"sqlite:///{new}" and client.get_experiment_by_name("toy")
    (note,) = written.notes
    assert note == f"the search was written to {database}, and now is to sqlite:///{new}"


def test_a_database_without_the_search_is_taken_only_where_the_old_one_is_gone(
    written: Ledger, database: str, make_database: Callable[[], str], tmp_path: Path
) -> None:
    other = make_database()
    with pytest.raises(UserError) as caught:
        open_server(_open(tmp_path, other), written)
    assert f"is written to {database}, and {other} has nothing of it" in str(caught.value)
    assert f"rebuild {written.folder} --tracking-uri {other}" in str(caught.value)
    assert not written.notes
    Path(database.removeprefix("sqlite:///")).unlink()
    assert open_server(_open(tmp_path, other), written)[1] == other
    assert written.notes == [f"{database} is missing: the search is written to {other} again"]


def test_a_missing_database_of_the_storage_is_told(
    begin: Callable[..., Ledger], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger, path = begin(), tmp_path / "runs" / "mlflow.db"
    monkeypatch.setattr(tracking_server, "open_client", lambda uri: uri)
    assert open_server(_open(tmp_path, None), ledger) == (f"sqlite:///{path}", "")
    assert ledger.notes == [f"{path} is missing: a new one is written"]
    path.touch()
    open_server(_open(tmp_path, None), ledger)
    assert len(ledger.notes) == 1
