"""Folders of photographs: a folder per class, also within folders train, validation and test.

The photographs of a class may lie at any depth below its folder. `groups.csv` beside the class
folders may name photographs that belong together: columns `file`, relative to that folder, and
`group`.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainables.cache import check_is_regular
from trainables.data.formats import is_photo_name
from trainables.data.prepare import Photo
from trainables.data.splitting import NAMES, PARTS, check_known_classes, list_names
from trainables.data.text_tables import read_table
from trainables.errors import UserError

IGNORED = (".", "__MACOSX", "@eaDir", "$RECYCLE", "Thumbs.db", "desktop.ini")
GROUPS = "groups.csv"


@dataclass(frozen=True)
class PhotoFolders:
    """The files in a folder: `parts` is train alone where the folder has no parts.

    `groups` has a name for each photograph that belongs to others. `state` is a hash of names,
    sizes and times.
    """

    classes: tuple[str, ...]
    parts: dict[str, list[Photo]]
    groups: dict[str, str]
    state: str


def find_root(name: str, folder: Path) -> Path | None:
    """Return the folder with the class folders: `folder`, or the one of a data set's name in it.

    Raises UserError where both are possible.
    """
    inside = _find_images(folder / name)
    if inside is None:
        return _find_images(folder)
    others = [path for path in _list_folders(folder) if path.name != name]
    if any(is_photo_name(path.name) for other in others for path in _list(other)):
        raise UserError(
            f"{folder} has photographs in {list_names([path.name for path in others])}, and in "
            f"folders of {name}, which is the name of a data set\n"
            f"use --data-dir {folder / name} for that one, or rename it if it is a class"
        )
    return inside


def list_photos(root: Path) -> PhotoFolders:
    """Return the files below the class folders; those that are in none have the label -1."""
    folders = _list_folders(root)
    parts = _find_parts(root, folders)
    class_folders = {part: _list_folders(place) for part, place in parts.items()}
    names = {part: [_get_name(path) for path in found] for part, found in class_folders.items()}
    classes = sorted(set(names["train"]))
    check_known_classes(str(root), classes, {p: found for p, found in names.items() if p in PARTS})
    photos: dict[str, list[Photo]] = {}
    state_hash = hashlib.sha256()
    for part, place in parts.items():
        places = {place, root} if part == "train" else {place}
        strays = [path for at in sorted(places) for path in _list(at) if not path.is_dir()]
        files = [(-1, path) for path in strays if is_photo_name(path.name)]
        for path in class_folders[part]:
            files += [(classes.index(_get_name(path)), file) for file in sorted(walk_files(path))]
        photos[part] = [Photo(str(file.relative_to(root)), label, file) for label, file in files]
        for photo in photos[part]:
            state_hash.update(os.fsencode(f"{part}/{photo.label}/{photo.name}"))
            with suppress(OSError):
                state = (root / photo.name).stat()
                state_hash.update(f"\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    groups = _read_groups(root, [photo.name for part in photos.values() for photo in part])
    state_hash.update(repr(sorted(groups.items())).encode(errors="surrogateescape"))
    return PhotoFolders(tuple(classes), photos, groups, state_hash.hexdigest())


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, at any depth, without hidden ones.

    Links to folders are followed; a folder that is reached twice is listed once.
    """
    seen = set(folder.resolve().parents)
    places = [folder]
    while places:
        place = places.pop()
        if (real := place.resolve()) in seen:
            continue
        seen.add(real)
        for path in _list(place):
            if path.is_dir():
                places.append(path)
            else:
                yield path


def _find_images(place: Path) -> Path | None:
    """Return a folder, or `Images` if that is all it has, if its folders have photographs."""
    found = [path for path in _list_folders(place) if _has_photos(path)]
    if not found:
        return None
    if [path.name for path in found] == ["Images"] and (inner := _find_images(found[0])):
        return inner
    # A folder of data sets in Parquet files is not one of classes.
    folders = _list_folders(place)
    if any(path.suffix == ".parquet" for inner in folders for path in _list(inner)):
        return None
    return place


def _find_parts(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of train, validation and test, or the root as train."""
    named = [(NAMES[path.name.casefold()], path) for path in folders if _is_part(path)]
    parts = dict(named)
    others = [path for path in folders if not _is_part(path) and _has_photos(path)]
    if "train" not in parts or (len(parts) == 1 and others):
        if parts and not others:
            raise UserError(
                f"{root} has {list_names([path.name for _, path in named])}, but no folder train"
            )
        return {"train": root}
    if len(parts) < len(named):
        raise UserError(
            f"{root} has two folders of one part: {list_names([path.name for _, path in named])}\n"
            "use one of train, validation and test each"
        )
    if others:
        raise UserError(
            f"{root} has parts ({list_names([path.name for _, path in named])}) and other folders "
            f"with photographs: {list_names([path.name for path in others])}\n"
            "move the others away, or rename the parts if they are classes"
        )
    for path in parts.values():
        if not any(_has_photos(inner) for inner in _list_folders(path)):
            raise UserError(
                f"{path} has no class folders with photographs\n"
                "put the photographs of each class into a folder of its name there, or remove it"
            )
    return {part: parts[part] for part in PARTS if part in parts}


def _read_groups(root: Path, names: Sequence[str]) -> dict[str, str]:
    path = root / GROUPS
    if not os.path.lexists(path):
        return {}
    try:
        check_is_regular(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    table = read_table(path)
    columns = table.columns
    if missing := {"file", "group"} - set(columns.column_names):
        raise UserError(
            f"{path} has no column {min(missing)!r}; its columns are "
            f"{list_names(columns.column_names, 5)}\nit needs the columns file and group"
        )
    if table.invalid:
        raise UserError(f"{path} cannot be read: {table.invalid[0]}\ncorrect that line")
    rows = zip(columns["file"].to_pylist(), columns["group"].to_pylist(), strict=True)
    groups = {file.replace("\\", "/"): group for file, group in rows}
    if unknown := sorted(set(groups) - set(names)):
        raise UserError(
            f"{path} names files that are not there: {list_names(unknown, 5)}\n"
            f"write them relative to {root}, such as {names[0] if names else 'cat/1.jpg'}"
        )
    return groups


def _get_name(folder: Path) -> str:
    """Return the name of a class; macOS decomposes accents in it."""
    return unicodedata.normalize("NFC", os.fsencode(folder.name).decode(errors="replace"))


def _is_part(folder: Path) -> bool:
    return folder.name.casefold() in NAMES


def _has_photos(folder: Path) -> bool:
    return any(is_photo_name(path.name) for path in walk_files(folder))


def _list(place: Path) -> list[Path]:
    """Return what is in a folder, sorted, without hidden files and those of other programs."""
    return sorted(path for path in place.iterdir() if not path.name.startswith(IGNORED))


def _list_folders(place: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones and links to a parent."""
    if not place.is_dir():
        return []
    return [
        path
        for path in _list(place)
        if path.is_dir() and not place.resolve().is_relative_to(path.resolve())
    ]
