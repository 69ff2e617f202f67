"""Find the searches of a space in a storage folder."""

from __future__ import annotations

from pathlib import Path

from cluster.ledger.damage import INDEX
from cluster.ledger.files import list_searches, parse_number
from cluster.ledger.settings import FILE, read_id, read_space
from trainables.errors import UserError


def find_newest(storage: Path, name: str) -> Path | None:
    """Return the folder of the newest search of a space; its settings may still be damaged.

    A folder whose trials have no `search.json`, or that of a search of another folder, counts.
    """
    searches = [
        (number, path)
        for number, path in list_searches(storage, name)
        if ((path / FILE).exists() or (path / INDEX).exists())
        and not _is_of_another_space(path, name)
    ]
    return max(searches)[1] if searches else None


def check_no_copy(search: Path, name: str) -> None:
    """Raise UserError where another folder of a space in the storage holds the same search."""
    # Both would write the same runs in MLflow.
    own = read_id(search / FILE)
    folders = sorted(path for _, path in list_searches(search.parent, name) if path != search)
    if copies := [path for path in folders if own and read_id(path / FILE) == own]:
        raise UserError(
            f"{copies[0]} and {search} hold the same search ({own}): one is a copy\n"
            f"move one of them out of {search.parent}, or start another search with --fresh"
        )


def _is_of_another_space(folder: Path, name: str) -> bool:
    # A space called digits-2 has folders that look like the second search of digits.
    space = read_space(folder)
    return space not in (name, None) and parse_number(str(space), folder.name) is not None
