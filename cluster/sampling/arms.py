"""The arms of a search that tunes each of them as a search of its own.

The nuisance hyperparameters of every arm are tuned with the same number of trials, then the best
configurations are compared (Godbole et al., Deep Learning Tuning Playbook, 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.ledger.settings import SearchSettings
from cluster.sampling.agreeing_arms import find_agreeing_arms
from searchspaces.json_text import Json
from searchspaces.overrides import encode_defaults
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Pair = tuple[dict[str, Json], dict[str, Json]]
"""The values that an arm fixes, and those that its first trial has besides."""


@dataclass(frozen=True)
class Arm:
    """One of `of` arms: its trials have the `fixed` values, the first one those of `start`, too.

    The n-th trial of its own study is trial n * `of` + `number` of the search. A search without
    arms that are tuned is one arm, which fixes nothing.
    """

    fixed: Mapping[str, Json] = field(default_factory=dict)
    start: Mapping[str, Json] = field(default_factory=dict)
    number: int = 0
    of: int = 1

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of its trials."""
        return {"arm": str(self.number)} if self.of > 1 else {}

    def has_trial(self, trial: int) -> bool:
        """Return whether a trial of the search is one of this arm."""
        return trial % self.of == self.number

    def to_trial(self, number: int) -> int:
        """Return the number in the search of a trial of this arm's study."""
        return number * self.of + self.number

    def to_number(self, trial: int) -> int:
        """Return the number in this arm's study of a trial of the search."""
        return trial // self.of


def list_arms(settings: SearchSettings) -> list[Arm]:
    """Return the arms that a search tunes; none in any other search."""
    return [
        Arm(fixed, start, number, len(settings.arms))
        for number, (fixed, start) in enumerate(settings.arms)
    ]


def plan_arms(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> list[Pair]:
    """Return what each arm of a space fixes, and where its tuning starts.

    An arm fixes the compared hyperparameters; other values that it names are those of its first
    trial. Arms that disagree with a fixed value are left out, and so is one that is left alone.
    Raises UserError where arms cannot be tuned.
    """
    default = encode_defaults(space, fixed)
    named = find_agreeing_arms(space, fixed)
    names = [list(space.compare) or list(arm) for arm in named]
    arms: list[Pair] = []
    for number, (arm, compared) in enumerate(zip(named, names, strict=True)):
        values = {name: {**default, **arm}[name] for name in compared}
        if any(values == {n: {**default, **one}[n] for n in compared} for one in named[:number]):
            raise UserError(
                f"two arms of {space.name} have the same {', '.join(compared)}: they cannot be "
                "tuned\nadd to `compare` what they differ in, or leave --tune-arms out"
            )
        own = {name: value for name, value in values.items() if name not in fixed}
        start = {n: value for n, value in arm.items() if n not in values and n not in fixed}
        if own not in [known for known, _ in arms]:
            arms.append((own, start))
    if len(arms) > 1 and "seed" not in default:
        raise UserError(
            f"the arms of {space.name} cannot be tuned: its Config has no field `seed`, and the "
            "best of each arm runs on new seeds\nadd one that the training uses"
        )
    if len(arms) > 1 and not any(find_parameters(space, {**fixed, **own}) for own, _ in arms):
        raise UserError(
            f"the arms of {space.name} leave no hyperparameter to tune\n"
            "leave --tune-arms out: --seeds N repeats each arm"
        )
    return arms
