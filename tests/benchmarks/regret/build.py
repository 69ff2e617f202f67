"""Build a table of learning curves for replays: real trainings of random configurations.

`python -m tests.benchmarks.regret.build KIND --out FOLDER` writes `KIND.parquet`, a row per
configuration, seed and report. Configuration 0 is the kind's default; the first ones are trained
with a second seed, too, so that replays know the spread between seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from searchspaces.space import SearchSpace
from tests.benchmarks.regret.kinds import KINDS, Config
from trainables.environment import find_data_folder
from trainables.run import Run


def draw_configs(space: SearchSpace[Any], count: int) -> list[Config]:
    """Return the default and random configurations of a space, always the same."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=20261128))
    start = space.initial_configs[0] if space.initial_configs else {}
    drawn = [Config(**{**start, **space.suggest(study.ask())}) for _ in range(count - 1)]
    return [Config(**start), *drawn]


def train_all(space: SearchSpace[Any], configs: list[Config], twice: int) -> Iterator[list[Any]]:
    """Yield the rows of one configuration after the other."""
    for number, config in enumerate(configs):
        rows = []
        for seed in (0, 1) if number < twice else (0,):
            own = replace(config, seed=seed)
            run = Run(reports=space.reports, data=find_data_folder(None))
            for report, metrics in enumerate(space.train(own, run), 1):
                rows.append({"config": number, "report": report, **asdict(own), **metrics})
        yield rows


def main() -> None:
    """Train, and write the table after every tenth configuration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--configs", type=int, default=100)
    parser.add_argument("--twice", type=int, default=20, help="configurations with two seeds")
    parser.add_argument("--minutes", type=float, default=10.0, help="ends after this time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, started, rows = KINDS[options.kind], time.monotonic(), []
    options.out.mkdir(parents=True, exist_ok=True)
    configs = draw_configs(space, options.configs)
    for number, new in enumerate(train_all(space, configs, options.twice), 1):
        rows += new
        out_of_time = time.monotonic() > started + 60 * options.minutes
        if number % 10 == 0 or number == len(configs) or out_of_time:
            pq.write_table(pa.Table.from_pylist(rows), options.out / f"{space.name}.parquet")
            print(f"{number} configurations, {time.monotonic() - started:.0f} s", flush=True)
        if out_of_time:
            break


if __name__ == "__main__":
    main()
