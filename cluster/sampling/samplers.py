"""Optuna's samplers: one per trial, built from the search's seed and the trial's number."""

from __future__ import annotations

import zlib
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from cluster.sampling import SAMPLERS
from searchspaces.suggestion import Answer
from trainables.errors import UserError


def build_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """Return a sampler for one trial, from the search's seed and the trial's number."""
    trial_seed = (seed * 1_000_003 + number) % 2**32
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(
                seed=trial_seed, multivariate=True, group=True, constant_liar=True
            )
        case "random":
            return IndependentRandomSampler(trial_seed)
        case "qmc":
            # One sequence for the whole search: Optuna counts its points in the study.
            return optuna.samplers.QMCSampler(
                scramble=True,
                seed=seed,
                warn_independent_sampling=False,
                independent_sampler=IndependentRandomSampler(trial_seed),
            )
        case "gp":
            return optuna.samplers.GPSampler(seed=trial_seed)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(
                seed=trial_seed,
                warn_independent_sampling=False,
                independent_sampler=IndependentRandomSampler(trial_seed),
            )
    raise UserError(f"unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}")


class IndependentRandomSampler(optuna.samplers.RandomSampler):
    """Draws every parameter with its own seed, whatever was drawn before it.

    A random trial that a crash interrupted during `suggest` then gets the same values again.
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


def ask_optuna(trial: optuna.Trial) -> Answer:
    """Return an answer to `suggest` that asks the sampler of a trial."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        match distribution:
            case FloatDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_float(name, low, high, log=log, step=step)
            case IntDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_int(name, low, high, log=log, step=step)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(name, choices)
        raise TypeError(f"{name}: no such distribution: {distribution}")

    return answer
