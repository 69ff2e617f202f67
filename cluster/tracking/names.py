"""Names of metrics and hyperparameters in MLflow: the user's are kept apart from Tunery's own.

MLflow accepts letters, digits and `/ _ - . :` and blanks, at most 250 characters, and no name that
is another one when it is read as a path, such as `a//b` or `../a` (`mlflow.utils.validation`).
Whatever it does not accept is written as `_x40_`, the hexadecimal code of the character.
"""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping

OWN = "tunery."
"""Prefix of Tunery's own metrics; a name of the user that begins with it is escaped."""
SYSTEM = "system/"
"""Prefix of the metrics that MLflow's UI shows as system metrics; escaped in names of the user."""
NAMING = {"naming": "2"}
"""Tag of the runs whose names are written as this module describes."""
SUGGESTED = "suggested."
"""Prefix of the params of a run that are no Config fields, but what `suggest` asked for."""
LONGEST = 250
"""Characters of a name."""
LONGEST_VALUE = 6000
"""Characters of a parameter's value."""
LONG_NAME = "tunery.name."
"""Prefix of the tags with the names that were cut."""
MARK = 25
"""Characters of a name that is cut which its mark may take."""
OLDER = {"score", "best_report", "device_seconds", "parameters", "trainable_parameters"}
OLDER |= {"complete", "stopped", "diverged", "failed", "infeasible", "retried"}
"""Tunery's own metrics in runs of older versions, which had no prefix."""

_ESCAPE = re.compile(r"_x(10[0-9a-f]{4}|[0-9a-f]{0,5})_")
_CUT = re.compile(r".*_xx([0-9a-f]{16})", re.DOTALL)


def to_own_name(name: str) -> str:
    """Return the name in MLflow of one of Tunery's own metrics."""
    return OWN + _cut(name, LONGEST - len(OWN))


def to_mlflow_name(name: str) -> str:
    """Return the name in MLflow of a metric or a hyperparameter of the user.

    A name that is too long is cut, and marked with its digest (`list_long_names`).
    """
    return _cut(name, LONGEST)


def from_mlflow_name(name: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the user's name; `tags` are those of the run, which has the long names."""
    if (cut := _CUT.fullmatch(name)) and tags:
        name = tags.get(LONG_NAME + cut[1], name)
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", name)


def list_long_names(names: Iterable[str]) -> dict[str, str]:
    """Return the tags that hold the names that are cut."""
    escaped = {name: _escape_all(name) for name in names}
    return {
        LONG_NAME + _digest(name): text for name, text in escaped.items() if len(text) > LONGEST
    }


def split_metrics(
    metrics: Mapping[str, float], tags: Mapping[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return Tunery's own metrics of a run and those that its task has reported, by name.

    System metrics are in neither.
    """
    own: dict[str, float] = {}
    reported: dict[str, float] = {}
    for name, value in metrics.items():
        if not is_escaped(tags):
            (own if name in OLDER else reported)[name] = value
        elif name.startswith(OWN):
            own[from_mlflow_name(name.removeprefix(OWN))] = value
        elif not name.startswith(SYSTEM):
            reported[from_mlflow_name(name, tags)] = value
    return own, reported


def to_mlflow_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the params of a run in MLflow; a long text is continued in params of Tunery's own."""
    written = {}
    for name, text in params.items():
        written[to_mlflow_name(name)] = text[:LONGEST_VALUE]
        for part, start in enumerate(range(LONGEST_VALUE, len(text), LONGEST_VALUE), 2):
            written[f"{OWN}{_digest(name)}.{part}"] = text[start : start + LONGEST_VALUE]
    return written


def from_mlflow_params(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each hyperparameter of a run by the user's name."""
    if not is_escaped(tags):
        return dict(params)
    read = {}
    for name, text in params.items():
        if not name.startswith(OWN):
            name, part = from_mlflow_name(name, tags), 2
            while more := params.get(f"{OWN}{_digest(name)}.{part}"):
                text, part = text + more, part + 1
            read[name] = text
    return read


def is_escaped(tags: Mapping[str, str]) -> bool:
    """Return whether the names of a run are written as this module describes."""
    return tags.items() >= NAMING.items()


@functools.lru_cache(maxsize=10_000)
def _escape_all(name: str) -> str:
    if not name:
        return "_x_"
    not_a_path = posixpath.normpath(name) != name or name.startswith(("/", ".."))
    unsafe = r"[^\w.\-: ]" if not_a_path else r"[^/\w.\-: ]"
    # An underscore is escaped where an escape, or the mark of a cut name, would begin with it.
    pattern = rf"{unsafe}|_(?=x[0-9a-f]*(?:_|{unsafe}))|_(?=xx[0-9a-f]{{16}}$)"
    taken = name.lower().startswith((OWN, SYSTEM))
    first = 1 if taken or name == "." or name.startswith("..") else 0
    escaped = "".join(map(_escape, name[:first]))
    return escaped + re.sub(pattern, lambda found: _escape(found[0]), name[first:])


def _cut(name: str, longest: int) -> str:
    escaped = _escape_all(name)
    if len(escaped) <= longest:
        return escaped
    return f"{escaped[: longest - MARK]}_xx{_digest(name)}"


def _escape(character: str) -> str:
    return f"_x{ord(character):x}_"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
