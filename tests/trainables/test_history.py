"""The history of a run is appended to, and read as far as a checkpoint names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainables import history
from trainables.errors import DamagedFileError
from trainables.history import (
    Extent,
    append_report,
    copy_history,
    read_history,
    truncate_history,
)


def _write(folder: Path, reports: int) -> list[Extent]:
    extents = [Extent()]
    for report in range(1, reports + 1):
        extents.append(append_report(folder, _entry(report), extents[-1]))
    return extents


def _entry(report: int) -> dict[str, Any]:
    return {"report": report, "metrics": {"loss": 1.0 / report}}


@pytest.fixture(autouse=True)
def _few_reports_per_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "CHUNK", 4)


def test_any_earlier_extent_is_read_while_the_files_grow(tmp_path: Path) -> None:
    extents = _write(tmp_path, 10)
    assert len(list(tmp_path.iterdir())) == 3
    for count, extent in enumerate(extents):
        assert read_history(tmp_path, extent) == [_entry(n) for n in range(1, count + 1)]


def test_a_report_appends_its_own_line_only(tmp_path: Path) -> None:
    extents = _write(tmp_path, 9)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    append_report(tmp_path, _entry(10), extents[-1])
    changed = [path.name for path in before if path.read_bytes() != before[path]]
    assert changed == ["history-00002.jsonl"]


@pytest.mark.parametrize("count", [0, 3, 4, 6, 10])
def test_what_lies_beyond_an_extent_is_cut_off_and_not_copied(tmp_path: Path, count: int) -> None:
    (tmp_path / "a").mkdir()
    extent = _write(tmp_path / "a", 10)[count]
    copy_history(tmp_path / "a", tmp_path / "b", extent)
    truncate_history(tmp_path / "a", extent)
    for name in "ab":
        assert sum(path.stat().st_size for path in (tmp_path / name).iterdir()) == extent.size
        after = append_report(tmp_path / name, _entry(count + 1), extent)
        assert read_history(tmp_path / name, after)[-1] == _entry(count + 1)


def test_damage_is_named(tmp_path: Path) -> None:
    extents = _write(tmp_path, 10)
    path = tmp_path / "history-00001.jsonl"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert len(read_history(tmp_path, extents[4])) == 4  # the files before are intact
    with pytest.raises(DamagedFileError, match=r"history.* does not match its checksum"):
        read_history(tmp_path, extents[-1])
    path.unlink()
    with pytest.raises(DamagedFileError, match=r"history.*: it has \d+ of \d+ bytes"):
        read_history(tmp_path, extents[-1])
