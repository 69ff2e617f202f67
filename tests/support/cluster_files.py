"""The cluster files that are shipped, and programs that replace those which they call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT

FILES = ROOT / "cluster"


def read_config(name: str) -> dict[str, Any]:
    """Return the content of a shipped YAML file."""
    config = yaml.safe_load((FILES / name).read_text())
    assert isinstance(config, dict)
    return config


def write_stub(folder: Path, name: str, lines: str) -> None:
    """Write an executable bash script, which replaces a program on PATH."""
    (folder / name).write_text(f"#!/bin/bash\n{lines}\n")
    (folder / name).chmod(0o755)
