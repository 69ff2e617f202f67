"""The rival of `overhead`: the same search as Ray's documentation puts it together.

A function trainable, `OptunaSearch` and `MLflowLoggerCallback` with their defaults; only the
dashboard, the driver's output and the worker's log lines are off, as they are in Tunery.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch


def main() -> None:
    """Run the search and print what was found."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.plain_ray")
    p.add_argument("--trials", type=int, default=64)
    p.add_argument("--reports", type=int, default=5)
    p.add_argument("--concurrency", type=int, default=2)
    p.add_argument("--storage", type=Path, required=True)
    p.add_argument("--reuse-actors", action="store_true", help="not Ray's default")
    options = p.parse_args()
    reports, storage = options.reports, options.storage.resolve()

    def objective(config: dict[str, Any]) -> None:
        for report in range(reports):
            value = (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2 + 1 / (report + 1)
            tune.report({"value": value})

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ray.init(
        address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    tuner = tune.Tuner(
        tune.with_resources(objective, {"cpu": 1}),
        param_space={"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="value",
            mode="min",
            num_samples=options.trials,
            search_alg=OptunaSearch(),
            max_concurrent_trials=options.concurrency,
            reuse_actors=options.reuse_actors,
        ),
        run_config=tune.RunConfig(
            name="plain",
            storage_path=str(storage),
            verbose=0,
            callbacks=[
                MLflowLoggerCallback(f"sqlite:///{storage / 'mlflow.db'}", experiment_name="plain")
            ],
        ),
    )
    results = tuner.fit()
    print(results.get_best_result(scope="all").metrics["value"])
    ray.shutdown()


if __name__ == "__main__":
    main()
