"""Report from LightGBM's boosting, and resume from the trees that were saved.

A resumed training has the numbers of an undisturbed one unless it samples rows or features, or
drops trees: then it draws others, since LightGBM keeps no state of its generators.
"""

from contextlib import AbstractContextManager
from typing import Any

from trainables.run import Run


class ReportCallback(AbstractContextManager[Any]):
    """Reports the newest metrics after every `rounds` rounds, as `<data>-<metric>`.

    `path` is the model to resume from, or None, and `left` the rounds that are still to be made:
    `lightgbm.train(..., num_boost_round=report.left, init_model=report.path)`. With early
    stopping, `with ReportCallback(run) as report:` around it also reports the last model.
    """

    order = 20  # after LightGBM's own callbacks, which may record the metrics

    def __init__(self, run: Run, rounds: int = 1) -> None:
        self.run, self.rounds, self._over = run, rounds, 0
        self._file = run.checkpoint_dir / "model.txt"
        self.path = self._file if self._file.exists() else None
        self.left = rounds * len(run.remaining)

    def __call__(self, env: Any) -> None:
        self.model, self._over = env.model, (env.iteration - env.begin_iteration + 1) % self.rounds
        if not self._over:
            self._report((*result[:3],) for result in env.evaluation_result_list)

    def __exit__(self, error: object, *_: object) -> None:
        if self._over and error is None:  # the model is that of the best round now
            self._report((d, m, of[m]) for d, of in self.model.best_score.items() for m in of)

    def _report(self, results: Any) -> None:
        self.model.save_model(self._file)
        self.run.report({f"{data}-{metric}": value for data, metric, value in results})
