"""A table of learning curves, and a surrogate fitted to it for configurations that it lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from cluster.sampling.initial_trials import InitialTrial, make_known_trial, to_parameters
from searchspaces.codec import encode_values
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Curve = NDArray[np.float64]
TREES = 100
CANDIDATES = 4000
"""Random configurations among which the best one is looked for, besides those of the table."""


class Table:
    """Learning curves by configuration.

    An average over randomized trees (Geurts et al., 2006) predicts the logits of a curve, all
    reports at once; to these a trial adds the difference between two seeds of one configuration of
    the table, which is drawn whole. So scores of one trial err in the same direction, as they do.
    """

    def __init__(self, path: Path, space: SearchSpace[Any]) -> None:
        self.space = space
        self.parameters = find_parameters(space)
        names = [field.name for field in fields(space.config) if field.name != "seed"]
        rows = pd.read_parquet(path)
        known = [name for name in names if name in rows]
        first = rows[(rows.seed == 0) & (rows.report == 1)].set_index("config").sort_index()
        configs = [encode_values(values) for values in first[known].to_dict("records")]
        logits = to_logit(_pivot(rows, 0).loc[first.index].to_numpy())
        if logits.shape[1] != space.reports or np.isnan(logits).any():
            raise UserError(f"{path}: a configuration has not {space.reports} reports")
        self.default = make_known_trial(space, configs[0] | {"seed": 0}, {}, self.parameters)
        x = np.array([self.encode(self._read_parameters(config)) for config in configs])
        self.trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0).fit(x, logits)
        held_out = cross_val_predict(self.trees, x, logits[:, -1], cv=5)
        self.rank_correlation = float(
            pd.Series(held_out).corr(pd.Series(logits[:, -1]), method="spearman")
        )
        """Spearman's, between final scores and their predictions from other configurations."""
        again = _pivot(rows, 1)
        between = to_logit(again.to_numpy()) - to_logit(
            _pivot(rows, 0).loc[again.index].to_numpy()
        )
        self.noise = np.clip(between / math.sqrt(2), -1.0, 1.0)
        self.size = len(x)
        drawn = np.array([self.encode(parameters) for parameters in self._draw(CANDIDATES)])
        self.best = float(to_share(self.trees.predict(np.concatenate([x, drawn]))).max())
        self.default_final = float(self.predict(self.default.parameters).max())

    def encode(self, parameters: Mapping[str, Any]) -> list[float]:
        """Return parameters in their ranges from 0 to 1, and -1 for those of another branch."""
        row = []
        for name, parameter in self.parameters.items():
            distribution: Any = parameter.distribution
            if name not in parameters:
                row.append(-1.0)
            elif isinstance(distribution, CategoricalDistribution):
                at = distribution.choices.index(parameters[name])
                row.append(at / max(1, len(distribution.choices) - 1))
            else:
                scale = math.log if distribution.log else float
                low, high = scale(distribution.low), scale(distribution.high)
                row.append((scale(parameters[name]) - low) / (high - low))
        return row

    def predict(self, parameters: Mapping[str, Any]) -> Curve:
        """Return the curve of a configuration without noise, (reports,)."""
        row = np.array([self.encode(parameters)], dtype=np.float32)
        # Each tree by itself: the forest's own `predict` starts a pool of threads every time.
        each = [tree.tree_.predict(row)[0, :, 0] for tree in self.trees.estimators_]
        return to_share(np.mean(each, axis=0))

    def add_noise(self, curve: Curve, random: np.random.Generator) -> Curve:
        """Return a curve as one training of it would have been seen."""
        return to_share(to_logit(curve) + self.noise[random.integers(len(self.noise))])

    def list_initial_trials(self, default: bool) -> list[InitialTrial]:
        """Return the default, if it is to run first."""
        return [self.default] if default else []

    def _read_parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return to_parameters(self.space, config, {}, self.parameters)[0]

    def _draw(self, count: int) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        drawn = []
        for _ in range(count):
            trial = study.ask()
            self.space.suggest(trial)
            drawn.append(dict(trial.params))
        return drawn


def to_logit(share: Curve) -> Curve:
    """Return the logit of an accuracy; those at 0 and 1 stay finite."""
    kept = np.clip(share, 1e-3, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def to_share(logit: Curve) -> Curve:
    """Return the accuracy of a logit."""
    return np.asarray(1 / (1 + np.exp(-logit)))


def _pivot(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    own = rows[rows.seed == seed]
    return own.pivot(index="config", columns="report", values="validation_accuracy").sort_index()
