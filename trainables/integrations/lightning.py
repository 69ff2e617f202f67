"""Report the epochs of a Lightning Trainer, and resume it from its own checkpoint.

A resumed training has the numbers of an undisturbed one, except with ReduceLROnPlateau: what
that compares with is not in Lightning's checkpoints.
"""

from __future__ import annotations

from typing import Any

import trainables.vision.torchvision_operators  # noqa: F401 - before torchvision

# isort: split
from lightning.pytorch.callbacks import Checkpoint

from trainables.run import Run
from trainables.saved_run import check_loads, count_parameters


class ReportCallback(Checkpoint):
    """Reports what is logged by the end of each epoch; for a Trainer of `run.reports` epochs.

    `path` is the checkpoint to resume from, or None: `trainer.fit(..., ckpt_path=report.path)`.
    It calls `run.resume`, which restores the global random states.
    """

    def __init__(self, run: Run) -> None:
        self.run, self._file = run, run.checkpoint_dir / "lightning.ckpt"
        self.path = self._file if self._file.exists() else None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.run.resume()  # not earlier: building the module has drawn random numbers
        self.run.facts |= count_parameters({"module": pl_module})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.save_checkpoint(self._file)
        if not self.run.done:
            check_loads(self._file, "self.save_hyperparameters(ignore=['config'])")
        self.run.report(dict(trainer.callback_metrics))
