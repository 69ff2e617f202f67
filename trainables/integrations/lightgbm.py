"""Report from LightGBM's boosting, and resume from the trees that were saved.

A resumed training has the numbers of an undisturbed one unless it samples rows or features, or
drops trees: then it draws other ones, since LightGBM does not save the state of its generators.
"""

from __future__ import annotations

from typing import Any

from trainables.run import Run


class ReportCallback:
    """Reports the newest metrics after every `rounds` rounds, as `<data>-<metric>`.

    `path` is the model to resume from, or None, and `left` the rounds that are still to be made:
    `lightgbm.train(..., num_boost_round=report.left, init_model=report.path)`.
    """

    order = 20  # after LightGBM's own callbacks, which may record the metrics

    def __init__(self, run: Run, rounds: int = 1) -> None:
        self.run, self.rounds = run, rounds
        self._file = run.checkpoint_dir / "model.txt"
        self.path = self._file if self._file.exists() else None
        self.left = rounds * len(run.remaining)
        self.model: Any = None

    def __call__(self, env: Any) -> None:
        self.model = env.model
        if (env.iteration - env.begin_iteration + 1) % self.rounds == 0:
            env.model.save_model(self._file)
            results = env.evaluation_result_list
            self.run.report({f"{data}-{metric}": value for data, metric, value, *_ in results})
