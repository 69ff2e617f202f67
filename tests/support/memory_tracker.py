"""A tracking server in memory, with what reports ask of one, for simulations of many searches."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class MemoryTracker:
    """Holds tags in memory and artifacts in a folder, by run; has no experiments to list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tags: dict[str, dict[str, str]] = defaultdict(dict)

    def get_run(self, run_id: str) -> Any:
        """Return a run with its tags."""
        info, data = SimpleNamespace(run_id=run_id), SimpleNamespace(tags=self.tags[run_id])
        return SimpleNamespace(info=info, data=data)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        self.tags[run_id][key] = value

    def log_table(self, run_id: str, path: str, table: pa.Table) -> None:
        """Store a table as an artifact of a run."""
        file = self.folder / run_id / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[Any]:
        """Return the artifacts in a folder of a run."""
        root = self.folder / run_id
        found = sorted((root / (path or "")).glob("*"))
        return [SimpleNamespace(path=file.relative_to(root).as_posix()) for file in found]

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        """Return the path of an artifact, where it is stored."""
        return str(self.folder / run_id / path)

    def search_experiments(self, **_: Any) -> Any:
        """Return no experiment."""
        return _Page()

    def search_runs(self, *_: Any, **__: Any) -> Any:
        """Return no run."""
        return _Page()


class _Page(list[Any]):
    token = None
