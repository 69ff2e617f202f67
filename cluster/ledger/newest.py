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


def find_copies(storage: Path) -> dict[Path, Path]:
    """Return the folders of a storage that hold the search of another folder, and that folder.

    The names of the folders do not matter.
    """
    searches: dict[str | None, list[Path]] = {}
    for file in sorted(storage.glob(f"*/{FILE}")):
        searches.setdefault(read_id(file), []).append(file.parent)
    copies: dict[Path, Path] = {}
    for own, folders in searches.items():
        if own:  # it begins with the name of the folder in which the search was started
            first = min(folders, key=lambda folder: folder.name != own.rpartition("-")[0])
            copies |= {folder: first for folder in folders if folder != first}
    return copies


def check_no_copy(search: Path) -> None:
    """Raise UserError where another folder of the storage holds the same search."""
    # Both would write the same runs in MLflow.
    copies = find_copies(search.parent)
    original = copies.get(search, search)
    others = [original, *(copy for copy, of in copies.items() if of == original)]
    if other := next((folder for folder in others if folder != search), None):
        raise UserError(
            f"{other} and {search} hold the same search ({read_id(search / FILE)}): one is a "
            f"copy\nmove one of them out of {search.parent}, or start another search with --fresh"
        )


def check_not_renamed(storage: Path, name: str) -> None:
    """Raise UserError where a search of a space is in a folder that no search of it has."""
    for file in sorted(storage.glob(f"*/{FILE}")):
        folder = file.parent
        if read_space(folder) == name and parse_number(name, folder.name) is None:
            raise UserError(
                f"{folder} holds a search of {name}, whose folders are {name}, {name}-2, ...\n"
                "rename it to continue it, or start another search with --fresh"
            )


def _is_of_another_space(folder: Path, name: str) -> bool:
    # A space called digits-2 has folders that look like the second search of digits.
    space = read_space(folder)
    return space not in (name, None) and parse_number(str(space), folder.name) is not None
