"""Simulated runs: which examples of validation and test each answers correctly.

A run answers an example correctly where its margin is positive, the sum of the configuration's
skill, of how easy the example is (for all runs, and for this configuration), of the luck of the
run, which validation and test share, and of noise.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from searchspaces.space import SearchSpace
from trainables.run import Loop, Run

SPLITS = ("validation", "test")
METRIC = "validation_accuracy"
SEEDS = ("normal", "skewed", "half dead")
"""Distributions of the luck of runs."""
DEAD = -4.0  # luck of a run that has learned nothing: it answers one example in 15 correctly


@dataclass(frozen=True)
class Setting:
    """What is simulated: sizes, the number of configurations and seeds to confirm, and spreads.

    `lead` is the skill of one configuration beyond the others', in standard errors of the
    difference of two means over the re-runs on the test set, where luck is normal. `kind` is the
    distribution of the luck, of SEEDS: with `half dead` every other run has learned nothing, and
    `skewed` ones are often a little better and seldom much worse, by an exponential distribution.
    """

    best: int = 5
    seeds: int = 5
    validation: int = 360
    test: int = 360
    skill: float = 2.2
    luck: float = 0.1
    own: float = 0.25
    noise: float = 0.5
    lead: float = 0.0
    trials: int = 40
    kind: str = "normal"

    @property
    def spread(self) -> float:
        """Return the standard deviation of a margin."""
        return math.sqrt(1 + self.own**2 + self.luck**2 + self.noise**2)

    def find_lead(self) -> float:
        """Return how much more skill has an accuracy that is `lead` standard errors higher."""
        if not self.lead:
            return 0.0
        random, n = np.random.default_rng(0), 20_000
        easy, luck = random.normal(self.skill, 1, n), random.normal(self.skill, self.luck, n)
        shape = (self.seeds, n)
        one, two = (
            easy + random.normal(0, self.own, n) + random.normal(0, self.noise, shape) > 0
            for _ in range(2)
        )
        of_examples = (one.mean(axis=0) - two.mean(axis=0)).var() / self.test
        accuracies = norm.cdf(luck / math.sqrt(self.spread**2 - self.luck**2))
        error = math.sqrt(of_examples + 2 * accuracies.var() / self.seeds)
        target = norm.cdf(self.skill / self.spread) + self.lead * error
        return float(norm.ppf(target)) * self.spread - self.skill


def make_space(config: type[Any]) -> SearchSpace[Any]:
    """Return a space of configurations that are nothing but their numbers; 0 is the default."""

    def suggest(trial: Any) -> Mapping[str, Any]:
        return {"number": trial.suggest_int("number", 0, 10_000)}

    def train(config: Any, run: Run) -> Loop:
        raise NotImplementedError("runs are simulated")
        yield {}

    return SearchSpace(config, train, suggest, METRIC, "max", reports=1, name="simulated")


def make_training(
    setting: Setting, random: np.random.Generator, skills: np.ndarray
) -> Callable[[int, int], dict[str, np.ndarray]]:
    """Return a function of configuration and seed to which examples of each split are right."""
    easy = {split: random.normal(0, 1, getattr(setting, split)) for split in SPLITS}
    root = int(random.integers(2**31))

    def train(number: int, seed: int) -> dict[str, np.ndarray]:
        own = {s: np.random.default_rng([root, number, zlib.crc32(s.encode())]) for s in SPLITS}
        run = np.random.default_rng([root, number, seed])
        luck = _draw_luck(setting, run)
        return {
            s: skills[number]
            + easy[s]
            + own[s].normal(0, setting.own, len(easy[s]))
            + luck
            + run.normal(0, setting.noise, len(easy[s]))
            > 0
            for s in SPLITS
        }

    return train


def _draw_luck(setting: Setting, run: np.random.Generator) -> float:
    if setting.kind not in SEEDS:
        raise ValueError(f"kind {setting.kind!r} is none of {', '.join(SEEDS)}")
    if setting.kind == "skewed":
        return setting.luck * (1 - float(run.exponential(1)))
    dead = setting.kind == "half dead" and run.random() < 0.5
    return float(run.normal(0, setting.luck)) + (DEAD if dead else 0.0)
