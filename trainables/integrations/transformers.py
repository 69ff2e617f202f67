"""Report from a Trainer of Hugging Face, and resume it from its own checkpoint.

A resumed training has the numbers of an undisturbed one: the Trainer saves its random states.
"""

from __future__ import annotations

from typing import Any

import trainables.vision.torchvision_operators  # noqa: F401 - before torchvision

# isort: split
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from trainables.run import Run
from trainables.saved_run import count_parameters


class ReportCallback(TrainerCallback):
    """Reports the metrics of each evaluation, when the checkpoint after it has been saved.

    `path` is the checkpoint to resume from, or None: `trainer.train(report.path)`. `arguments`
    are for TrainingArguments: a report is an epoch, and its checkpoint replaces the one before.
    """

    def __init__(self, run: Run) -> None:
        self.run, self._metrics = run, dict[str, float]()
        self.path = get_last_checkpoint(str(run.checkpoint_dir))
        self.arguments = {
            **{"output_dir": str(run.checkpoint_dir), "num_train_epochs": run.reports},
            **{"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1},
        }

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._metrics = kwargs["metrics"]
        self.run.facts |= count_parameters({"model": kwargs["model"]})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.run.report(self._metrics)
