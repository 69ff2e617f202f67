"""Report from XGBoost's boosting, and resume from the trees that were saved.

A resumed training has the numbers of an undisturbed one unless it samples rows or columns.
"""

from typing import Any

from xgboost.callback import TrainingCallback

from trainables.run import Run


class ReportCallback(TrainingCallback):
    """Reports the newest metrics after every `rounds` rounds, as `<data>-<metric>`.

    `path` is the model to resume from, or None, and `left` the rounds that are still to be made:
    `xgboost.train(..., num_boost_round=report.left, xgb_model=report.path)`. `model` predicts.
    """

    def __init__(self, run: Run, rounds: int = 1) -> None:
        super().__init__()
        self.run, self.rounds = run, rounds
        self._file = run.checkpoint_dir / "model.ubj"
        self.path = self._file if self._file.exists() else None
        self.left = rounds * len(run.remaining)
        self.model, self._metrics = None, dict[str, float]()

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        logs = ((f"{d}-{m}", v[-1]) for d, log in evals_log.items() for m, v in log.items())
        self.model, self._metrics = model, dict(logs)
        if (epoch + 1) % self.rounds == 0:
            self.after_training(model)
        return False

    def after_training(self, model: Any) -> Any:
        metrics, self._metrics = self._metrics, {}
        if metrics:  # also after the rounds that early stopping leaves over
            model.save_model(self._file)
            self.run.report(metrics)
        return model
