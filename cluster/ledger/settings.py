"""What a search was started with: one record, kept in `search.json`, that everything reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cluster.ledger.files import parse_number
from searchspaces.codec import decode_config
from trainables.errors import DamagedFileError, UserError
from trainables.integrity import decode_json, encode_json
from trainables.ranking import Mode

FILE = "search.json"
MOST = 2**63 - 1
"""The largest number of a setting: what SQLite and NumPy hold."""
LATEST = 60_000_000_000
"""Seconds before or after 1970 in which dates lie, those of the years 69 to 3871."""
WAY_OUT = "restore the file, move its folder away, or start a new search with --fresh"
Kind = Literal["trial", "confirmation"]


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search.

    `fixed` are the values of --set, `parameters` the searched ranges, `rungs` the reports at
    which ASHA compares, `enqueued` the number of initial trials, `control` the number of trials
    that are never stopped early. `arms` that are tuned, with `tune_arms` trials each, are pairs of
    the values that an arm fixes and those that its first trial has besides; they are run again on
    `seeds` seeds. `reruns` of a confirmation are pairs of fixed values and tags.
    `teacher_copy` names the folder of the teacher in the cache. `resources` are what each trial
    got. `fields` are those of the Config with their types, `code` the digests of the space's
    source files, which are copied to the folder `code`. `provenance` is text about code, data and
    machine, which MLflow shows as tags.
    """

    space: str
    metric: str
    mode: Mode
    trials: int
    reports: int
    seeds: int = 1
    seed: int = 0
    sampler: str = "tpe"
    scheduler: str = "none"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    control: int = 0
    tune_arms: int = 0
    arms: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()
    rungs: tuple[int, ...] = ()
    enqueued: int = 0
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    teacher: str = ""
    teacher_copy: str = ""
    tracking_uri: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "trial"
    reruns: tuple[tuple[Mapping[str, Any], Mapping[str, str]], ...] = ()
    id: str = ""
    name: str = ""
    started: float = 0.0

    @property
    def searched(self) -> list[str]:
        """Return the searched hyperparameters: Config fields, and parameters that are none."""
        names = [entry.get("field") or name for name, entry in self.parameters.items()]
        return list(dict.fromkeys(names))


def write_settings(folder: Path, settings: SearchSettings) -> None:
    """Replace `search.json` as a whole; raises OSError."""
    part = folder / f"{FILE}.part"
    part.write_text(encode_json(dataclasses.asdict(settings), indent=2), encoding="utf-8")
    part.replace(folder / FILE)


def read_space(folder: Path) -> str | None:
    """Return the space of a search, whatever version wrote it; None where it cannot be read."""
    return _read_text(folder / FILE, "space")


def read_id(file: Path) -> str | None:
    """Return the id of the search with this `search.json`; None where it cannot be read."""
    return _read_text(file, "id")


def _read_text(file: Path, name: str) -> str | None:
    try:
        found = decode_json(file.read_bytes())[name]
    except (OSError, ValueError, KeyError):
        return None
    return found if isinstance(found, str) else None


def read_settings(folder: Path) -> SearchSettings:
    """Read `search.json`; raises UserError where it is damaged or of another version."""
    path = folder / FILE
    try:
        values = decode_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}\n{WAY_OUT}") from error
    known = {f.name: f for f in dataclasses.fields(SearchSettings)}
    required = {n for n, f in known.items() if f.default is f.default_factory}
    if wrong := sorted((values.keys() - known.keys()) | (required - values.keys())):
        raise UserError(
            f"{path} was written by another version of Tunery ({', '.join(wrong)[:500]})\n"
            "continue it with that version, or start a new search with --fresh"
        )
    try:
        settings = decode_config(SearchSettings, values)
        _check_numbers(settings)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {str(error)[:500]}\n{WAY_OUT}") from error
    return settings


def check_folder(folder: Path, settings: SearchSettings) -> None:
    """Raise DamagedFileError where a folder has the settings of a search of another space."""
    is_search = settings.kind == "trial"  # a confirmation lies inside of one
    if is_search and parse_number(settings.space, folder.name) is None:
        raise DamagedFileError(
            f"{folder / FILE} is that of a search of {settings.space}, which has other folders\n"
            f"{WAY_OUT}"
        )


def _check_numbers(settings: SearchSettings) -> None:
    lowest = {"trials": 0, "reports": 1, "seeds": 1, "seed": 0, "control": 0, "enqueued": 0}
    lowest |= {"tune_arms": 0}
    for name, least in lowest.items():
        if not least <= getattr(settings, name) <= MOST:
            raise ValueError(
                f"{name}: {getattr(settings, name)!r:.40} is not from {least} to {MOST}"
            )
    if not abs(settings.started) <= LATEST:
        raise ValueError(
            f"started: {settings.started!r:.40} is no time from -{LATEST} to {LATEST}"
        )
    if not settings.space:
        raise ValueError("space: it is empty")
