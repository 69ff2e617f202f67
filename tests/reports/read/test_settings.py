"""Tags that a server has cut are read from the settings of the search."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from reports.read.records import read_search
from reports.read.settings import read_settings, restore_tags
from trainables.errors import UnreadableError

CUT = '["a class", "anoth'


def test_cut_tags_are_read_from_the_settings(
    client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    parent = write_search([], {"classes": CUT, "published": CUT})
    search = read_search(client, "digits")
    assert search.published == ()
    with pytest.raises(UnreadableError, match="The tags classes, published of run 'digits'"):
        restore_tags(client, search)
    whole = {"classes": '["a class", "another"]', "published": '[{"setting": "x"}]'}
    (tmp_path / "search.json").write_text(json.dumps({"provenance": whole, "parameters": {}}))
    client.log_artifact(parent, str(tmp_path / "search.json"))
    restored = restore_tags(client, search)
    assert restored.tags["classes"] == whole["classes"]
    assert restored.published == ({"setting": "x"},)
    assert restored.compare == search.compare


@pytest.mark.parametrize("content", ["", "[1]", "{", "{}", "\x00", '{"a": 1, "#crc32": 5}'])
def test_damaged_settings_are_an_error(
    content: str, client: MlflowClient, write_search: Callable[..., str], tmp_path: Path
) -> None:
    parent = write_search([])
    (tmp_path / "search.json").write_text(content)
    client.log_artifact(parent, str(tmp_path / "search.json"))
    with pytest.raises(UnreadableError, match=r"search\.json of 'digits' is damaged"):
        read_settings(client, read_search(client, "digits"))
