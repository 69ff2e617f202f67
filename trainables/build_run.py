"""Build a run on this machine from what a user has named."""

from __future__ import annotations

from pathlib import Path

from trainables.environment import default_cache, default_device, find_data_folder, find_weights
from trainables.predictor import DataKind
from trainables.ranking import Mode
from trainables.run import Run


def build_run(
    reports: int,
    metric: str,
    mode: Mode,
    *,
    data_dir: Path | None = None,
    source: DataKind = "real",
    weights: Path | None = None,
    teacher: Path | None = None,
    trust_code: bool = False,
    device: str | None = None,
    folder: Path | None = None,
) -> Run:
    """Return a run on this machine from what a user has named, else from the environment.

    Raises UserError for a data folder or a device that cannot be used.
    """
    return Run(
        reports=reports,
        metric=metric,
        mode=mode,
        device=default_device(device),
        data=find_data_folder(data_dir),
        cache=default_cache().resolve(),
        source=source,
        weights=find_weights(weights),
        teacher=teacher and teacher.absolute(),
        trust_code=trust_code,
        # A task may change the working directory.
        folder=folder and folder.absolute(),
    )
