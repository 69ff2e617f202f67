"""The commands that messages name, in the form in which the user has started this one."""

from __future__ import annotations

import sys
from pathlib import Path

MODULES = {"tune": "trainables.tune", "train": "trainables.train", "report": "reports"}
"""What `python -m` runs for an action of `tunery`; the others are actions of reports."""


def is_script() -> bool:
    """Return whether this process is the command `tunery`, or `python -m trainables.command`."""
    start = Path(sys.argv[0])
    return start.stem == "tunery" or start.parts[-2:] == ("command", "__main__.py")


def format_command(action: str) -> str:
    """Return how the user starts an action: `tunery train`, or `python -m trainables.train`."""
    if is_script():
        return f"tunery {action}"
    return f"python -m {MODULES.get(action) or f'reports {action}'}"
