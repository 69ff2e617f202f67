"""What a search was started with: one record, kept in `search.json`, that everything reads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.errors import UserError
from trainables.ranking import Mode

FILE = "search.json"
Kind = Literal["trial", "confirmation"]


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search.

    `fixed` are the values of --set, `parameters` the searched ranges, `rungs` the reports at
    which ASHA compares, `enqueued` the number of initial trials, `control` the number of trials
    that are never stopped early. `reruns` of a confirmation are pairs of fixed values and tags.
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
    rungs: tuple[int, ...] = ()
    enqueued: int = 0
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    teacher: str = ""
    teacher_copy: str = ""
    tracking_uri: str = ""
    artifacts: str | None = None
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
    part.write_text(json.dumps(dataclasses.asdict(settings), indent=2), encoding="utf-8")
    part.replace(folder / FILE)


def read_space(folder: Path) -> str | None:
    """Return the space of a search, whatever version wrote it; None where it cannot be read."""
    try:
        space = json.loads((folder / FILE).read_text(encoding="utf-8"))["space"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(space)


def read_settings(folder: Path) -> SearchSettings:
    """Read `search.json`; raises UserError where it is damaged or of another version."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {path}: {error}\nstart a new search with --fresh") from error
    known = {f.name: f for f in dataclasses.fields(SearchSettings)}
    required = {n for n, f in known.items() if f.default is f.default_factory}
    if wrong := sorted((values.keys() - known.keys()) | (required - values.keys())):
        raise UserError(
            f"{path} was written by another version of Tunery ({', '.join(wrong)})\n"
            "continue it with that version, or start a new search with --fresh"
        )
    values["rungs"] = tuple(values.get("rungs", ()))
    values["reruns"] = tuple((fixed, tags) for fixed, tags in values.get("reruns", ()))
    return SearchSettings(**values)
