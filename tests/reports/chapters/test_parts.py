"""Results per part of the data, with intervals, and on test only if it is open."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

from reports.numbers.statistics import wilson_interval
from tests.reports.conftest import CLASSES

Write = Callable[..., str]
Read = Callable[..., str]
PARTS = np.array(["gcd", "lcm", "place value"])


def test_every_part_has_its_own_score(
    client: MlflowClient,
    write_search: Write,
    read_report: Read,
    some_trials: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    n = 300
    targets = np.arange(n) % CLASSES
    groups = PARTS[np.arange(n) // 100]
    wrong = {"gcd": 40, "lcm": 0, "place value": 10}
    guesses = targets.copy()
    for part, count in wrong.items():
        rows = np.flatnonzero(groups == part)[:count]
        guesses[rows] = (guesses[rows] + 1) % CLASSES
    some_trials[3]["outputs"] = {"validation": np.eye(CLASSES)[guesses] * 0.8 + 0.05}
    parent = write_search(some_trials)
    for split, count in (("validation", 300), ("test", 400)):
        table = {
            "id": np.arange(count) + 1000,
            "target": np.arange(count) % CLASSES,
            "group": [str(PARTS[i // 100 % 3]) for i in range(count)],
        }
        pq.write_table(pa.table(table), tmp_path / f"{split}.parquet")
        client.log_artifact(parent, str(tmp_path / f"{split}.parquet"), "data")
    text = read_report()
    chapter = text.partition("## Results per part of the data")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in chapter.splitlines()
        if line.startswith("| ")
    ][2:]
    found = wilson_interval(60, 100)
    assert [row[0] for row in rows] == ["lcm", "place value", "gcd"]
    assert rows[2][1:4] == [
        "60.0 %",
        f"{found.low * 100:.1f} to {found.high * 100:.1f} %",
        "100",
    ]
    assert rows[2][4] == f"{(200 - 23) / 200 * 100:.1f} %"  # of 400 the last 23 are wrong
    assert rows[2][6] == "200"


def test_without_parts_there_is_no_chapter(
    write_search: Write, read_report: Read, some_trials: list[dict[str, Any]]
) -> None:
    write_search(some_trials)
    assert "## Results per part of the data" not in read_report()
