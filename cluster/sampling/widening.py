"""Let a resumed search have choices that were added to its space since it was started.

Optuna allows a parameter one list of choices for a whole study. Where the space has more now, the
study is written again: the same trials, with the new list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution

from cluster.sampling.journal_backend import Journal
from cluster.sampling.study_file import open_storage
from searchspaces.parameters import Parameter, merge_ranges
from searchspaces.space import SearchSpace
from trainables.errors import UserError


def widen_choices(
    path: Path, space: SearchSpace[Any], parameters: Mapping[str, Parameter]
) -> None:
    """Write the study in a journal again if parameters have more choices now.

    Raises UserError where a parameter lacks choices that it had, or is of another kind.
    """
    if not path.exists() or not path.stat().st_size:
        return
    old = optuna.load_study(study_name=None, storage=open_storage(Journal(path)))
    trials = old.get_trials(deepcopy=False)
    changed = {
        name
        for trial in trials
        for name, before in trial.distributions.items()
        if name in parameters and _has_changed(name, before, parameters[name], space)
    }
    if not changed:
        return
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    journal = Journal(draft)
    new = optuna.create_study(
        study_name=old.study_name, storage=open_storage(journal), direction=old.direction
    )
    for trial in trials:
        for name in changed & trial.distributions.keys():
            trial.distributions[name] = parameters[name].distribution
        new._storage.create_new_trial(new._study_id, template_trial=trial)
    journal.sync()
    draft.replace(path)


def _has_changed(name: str, before: Any, parameter: Parameter, space: SearchSpace[Any]) -> bool:
    """Return whether a parameter has more choices now; raises UserError where it has fewer."""
    now = parameter.distribution
    if isinstance(before, CategoricalDistribution) and isinstance(now, CategoricalDistribution):
        if missing := [choice for choice in before.choices if choice not in now.choices]:
            raise UserError(
                f"parameter {name!r} of {space.name} lacks choices that this search has tried: "
                f"{', '.join(map(str, missing))}\n"
                f"  there: {list(before.choices)}\n  now:   {list(now.choices)}\n"
                "add them again, or start another search with --fresh"
            )
        return before.choices != now.choices
    try:
        merge_ranges(before, now)
    except ValueError as error:
        raise UserError(
            f"parameter {name!r} of {space.name} has changed since this search was started: "
            f"{before} there, {now} now\n"
            "restore it, or start another search with --fresh"
        ) from error
    return False
