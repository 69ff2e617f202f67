"""Optuna's samplers, one made anew for every trial as a function of seed and number."""

from __future__ import annotations

import zlib
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from trainables.errors import UserError

SAMPLERS = ("tpe", "random", "qmc", "grid", "gp", "cmaes")


def build_sampler(kind: str, seed: int, number: int) -> BaseSampler:
    """Build a sampler for one trial, as a function of the search's seed and its number."""
    own = (seed * 1_000_003 + number) % 2**32
    match kind:
        case "tpe":
            return optuna.samplers.TPESampler(
                seed=own, multivariate=True, group=True, constant_liar=True
            )
        case "random":
            return ByName(own)
        case "qmc":
            # The sequence is one for the whole search: Optuna counts its points in the study.
            return optuna.samplers.QMCSampler(
                scramble=True,
                seed=seed,
                warn_independent_sampling=False,
                independent_sampler=ByName(own),
            )
        case "gp":
            return optuna.samplers.GPSampler(seed=own)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(
                seed=own,
                warn_independent_sampling=False,
                independent_sampler=ByName(own),
            )
    raise UserError(f"unknown sampler {kind!r}; there are: {', '.join(SAMPLERS)}")


class ByName(optuna.samplers.RandomSampler):
    """Draws every parameter with a seed of its own, whatever was drawn before it.

    So a randomly drawn trial whose asking was cut short by a crash goes on with the draws that
    it would have had.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        """Draw one parameter."""
        drawn = optuna.samplers.RandomSampler(zlib.crc32(f"{self.seed} {param_name}".encode()))
        return drawn.sample_independent(study, trial, param_name, param_distribution)
