"""What to do where MLflow lacks a search that is in the storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ledger.ledger import create_ledger
from cluster.ledger.settings import SearchSettings, write_settings
from cluster.storage.searches import describe_missing
from cluster.storage.storage import open_storage

SERVER = "http://server:5000"


@pytest.mark.parametrize(
    ("recorded", "named", "advice"),
    [
        ("", None, "cluster.tracking rebuild {folder}"),
        (SERVER, SERVER, "cluster.tracking rebuild {folder} --tracking-uri http://server:5000"),
        (SERVER, None, "{folder} was written elsewhere: add --tracking-uri http://server:5000"),
    ],
)
def test_a_search_that_mlflow_lacks_is_written_again_or_read_where_it_was_written(
    recorded: str, named: str | None, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = SearchSettings(
        space="toy", metric="loss", mode="min", trials=2, reports=1, tracking_uri=recorded
    )
    ledger = create_ledger(tmp_path, settings)
    write_settings(ledger.folder, ledger.settings)
    ledger.close()
    storage = open_storage(str(tmp_path), named)
    for name in ("toy", ledger.id):
        assert describe_missing(storage, name).endswith(advice.format(folder=ledger.folder))
    assert describe_missing(storage, "toy-2") == ""
