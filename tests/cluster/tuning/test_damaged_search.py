"""A search whose files were damaged says so, and goes on with the same results."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.ledger.files import log_path
from cluster.options import Options
from cluster.storage.storage import Storage
from cluster.tracking.__main__ import rebuild
from cluster.tuning.run_search import run_search
from searchspaces.loading import load_space
from tests.support.searches import describe_trials, read_ledger, read_study
from trainables.errors import DamagedFileError
from trainables.run import Run


def test_damaged_and_deleted_logs_cost_their_trials_alone(
    space_file: Callable[..., Path], tmp_path: Path, database: str
) -> None:
    lines = "SPACE = replace(SPACE, initial_configs=({'behave': 'no_metric'}, {'behave': 'nan'}))"
    space = load_space(str(space_file(lines)))

    def search(**options: Any) -> tuple[int, str]:
        out = io.StringIO()
        storage = Storage(tmp_path / "runs", None, database)
        chosen = Options(storage=storage, executor="inline", trials=4, **options)
        run = Run(4, "loss", "min", cache=tmp_path)
        end = run_search(space, run, chosen, Console(file=out, width=300))
        return end.exit_code, out.getvalue()

    code, output = search(scheduler="none")
    folder = tmp_path / "runs" / "toy"
    before, study = describe_trials(read_ledger(folder)), read_study(folder)
    assert code == 0
    assert [(trial["outcome"], trial["attempts"]) for trial in before] == [
        *((("complete", ""), 1), (("failed", "task error"), 1)),
        *((("diverged", "loss is nan at report 2"), 1), (("complete", ""), 1)),
    ]
    assert "lacks the searched metric 'loss'; it has 'pid'" in output
    assert "\n  loss is nan at report 2" in output
    flipped, deleted = log_path(folder, 0), log_path(folder, 2)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    shutil.rmtree(deleted.parent)
    with pytest.raises(DamagedFileError, match=f"{flipped}.* is damaged(.|\n)*--resume"):
        rebuild(folder, database)
    code, output = search(resume_mode="resume")
    assert code == 0
    assert f"{flipped}, line " in output and "trial 0 begins again" in output
    assert f"{deleted} is missing: trial 2 begins again" in output
    after = describe_trials(read_ledger(folder))
    # The files of its first attempt are there, but it ended, and nothing is left to continue from.
    assert [trial.pop("attempts") for trial in after] == [2, 1, 1, 1]
    assert after == [{k: v for k, v in trial.items() if k != "attempts"} for trial in before]
    assert [(t.params, t.value) for t in read_study(folder)] == [
        (t.params, t.value) for t in study
    ]
