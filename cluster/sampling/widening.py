"""Let a resumed search have choices that were added to its space since it was started.

Optuna allows a parameter one list of choices for a whole study. Where the space has more now, the
study is written again: the same trials, with the new list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from searchspaces.json_text import find_missing, is_same
from searchspaces.parameters import Parameter, merge_ranges
from searchspaces.space import SearchSpace
from trainables.errors import UserError


def widen_choices(
    trials: Sequence[FrozenTrial], space: SearchSpace[Any], parameters: Mapping[str, Parameter]
) -> bool:
    """Set the choices in the trials of a study to those that their parameters have now.

    Returns whether any parameter has more than before: the study must then be written again.
    Raises UserError where a parameter lacks choices that it had, or is of another kind.
    """
    changed = {
        name
        for trial in trials
        for name, before in trial.distributions.items()
        if name in parameters and _has_changed(name, before, parameters[name], space)
    }
    for trial in trials if changed else ():
        for name in changed & trial.distributions.keys():
            trial.distributions[name] = parameters[name].distribution
    return bool(changed)


def _has_changed(name: str, before: Any, parameter: Parameter, space: SearchSpace[Any]) -> bool:
    """Return whether a parameter has more choices now; raises UserError where it has fewer."""
    now = parameter.distribution
    if isinstance(before, CategoricalDistribution) and isinstance(now, CategoricalDistribution):
        there, here = list(before.choices), list(now.choices)
        if missing := find_missing(there, here):
            raise UserError(
                f"parameter {name!r} of {space.name} lacks choices that this search has tried: "
                f"{', '.join(map(str, missing))}\n"
                f"  there: {there}\n  now:   {here}\n"
                "add them again, or start another search with --fresh"
            )
        return not is_same(there, here)
    try:
        merge_ranges(before, now)
    except ValueError as error:
        raise UserError(
            f"parameter {name!r} of {space.name} has changed since this search was started: "
            f"{before} there, {now} now\n"
            "restore it, or start another search with --fresh"
        ) from error
    return False
