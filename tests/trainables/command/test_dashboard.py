"""Optuna's dashboard on the study of a search: it shows everything, and changes nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.ui import serve
from trainables.command.dashboard import REFUSAL

pytest.importorskip("optuna_dashboard", reason="needs optuna-dashboard: '.[dashboard]'")


def ask(address: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(address, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_dashboard_shows_a_search_and_deletes_nothing(
    space_file: Callable[..., Path], tune_inline: Callable[..., tuple[int, str]], runs: Path
) -> None:
    code, output = tune_inline("--space", space_file(), "--trials", 3)
    assert code == 0, output
    journal = runs / "toy" / "study.journal"
    before = journal.read_bytes()

    def read(address: str) -> Any:
        code, text = ask(address)
        assert code == 200, text
        return json.loads(text)

    with serve("toy", "--optuna", "--storage", runs) as server:
        assert "Optuna" in ask(f"{server}/")[1]
        (summary,) = read(f"{server}/api/studies")["study_summaries"]
        number = summary["study_id"]
        assert summary["study_name"] == "toy"
        study = read(f"{server}/api/studies/{number}")
        assert len(study["trials"]) == 3
        assert study["objective_names"] == ["loss"]
        code, text = ask(f"{server}/api/studies/{number}", "DELETE")
        assert (code, json.loads(text)) == (403, REFUSAL)
        assert read(f"{server}/api/studies")["study_summaries"]
    assert journal.read_bytes() == before
    assert {path.name for path in journal.parent.glob("study*")} == {"study.journal"}
