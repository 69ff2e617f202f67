"""The result of a search in Python: its trials as tables, its report, its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.ledger.damage import read_trial_logs
from cluster.ledger.files import attempt_folder
from cluster.ledger.settings import SearchSettings, read_settings
from cluster.ledger.trial_log import TrialLog, rank_trial_logs
from cluster.result_page import describe_result, show_result
from cluster.storage.storage import Storage
from searchspaces.calls import restore_predictor
from searchspaces.codec import decode_config
from searchspaces.space import SearchSpace
from trainables.errors import DamagedFileError, UserError
from trainables.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Best:
    """The winner of a search: its configuration, its score on validation and its number."""

    config: Any
    score: float
    trial: int


@dataclass(frozen=True)
class WrittenReport:
    """A report that lies in a folder; Jupyter shows its text."""

    folder: Path
    text: str
    figures: Mapping[str, Figure]

    def _repr_markdown_(self) -> str:
        return self.text.replace("](figures/", f"]({self.folder}/figures/")


@dataclass(frozen=True, repr=False)
class Result:
    """What a search has found; Jupyter shows its best trials.

    `folder` is the ledger, from which everything is read when it is asked for, up to the trial
    `last`: a later search may have added others. `exit_code` is that of the command line: 0, or
    130 after an interruption.
    """

    space: SearchSpace[Any]
    folder: Path
    storage: Storage
    exit_code: int
    last: int
    _again: Callable[..., Result] = field(compare=False)

    @property
    def settings(self) -> SearchSettings:
        """Return the settings of the search; raises UserError where they are damaged."""
        return read_settings(self.folder)

    @property
    def best(self) -> Best:
        """Return the winner; raises UserError where no trial has a score."""
        log = self._find_winner()
        score = self._score(log)
        assert score is not None
        return Best(decode_config(self.space.config, log.config), score, log.trial)

    @property
    def trials(self) -> pd.DataFrame:
        """Return a row per trial: its score, outcome, reports, device seconds and configuration.

        The score of a trial is its best report's; a hyperparameter called as one of these columns
        has the prefix `config.`.
        """
        import pandas as pd

        rows = []
        for log in self._read_logs():
            best = log.find_best_report(self.settings.metric, self.settings.mode)
            row: dict[str, Any] = {
                "trial": log.trial,
                "score": best[0] if best else None,
                "best_report": best[1] if best else None,
                "outcome": log.outcome,
                "reports": log.done,
                "seconds": log.seconds,
            }
            row |= {f"config.{n}" if n in row else n: value for n, value in log.config.items()}
            rows.append(row)
        return pd.DataFrame(rows).set_index("trial") if rows else pd.DataFrame()

    @property
    def curves(self) -> pd.DataFrame:
        """Return a row per trial and report, with every metric that the task has reported.

        A metric called `trial` or `report` has the prefix `metric.`.
        """
        import pandas as pd

        index = ("trial", "report")
        rows = [
            {"trial": log.trial, "report": report.report}
            | {f"metric.{n}" if n in index else n: value for n, value in report.metrics.items()}
            for log in self._read_logs()
            for report in log.reports
        ]
        return pd.DataFrame(rows).set_index(["trial", "report"]) if rows else pd.DataFrame()

    def report(self, out: str | Path | None = None, *options: str) -> WrittenReport:
        """Write the report, as `python -m reports` does with these options, and return it.

        It opens the test set of a finished search. Raises UserError, and UnreadableError where
        the report is not complete.
        """
        from reports.cli import run_with_tracker
        from reports.options import build_report_parser
        from reports.report import write_files

        words = [self.settings.id, "--storage", str(self.storage), *options]
        if uri := self.storage.find_tracking_uri(self.settings.tracking_uri):
            words += ["--tracking-uri", uri]
        words += ["--out", str(out)] if out else []
        parsed = build_report_parser().parse_args(words)
        folder, _, report = run_with_tracker(parsed, partial(write_files, parsed, parsed.names[0]))
        return WrittenReport(folder, report.text, report.figures)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Return the figures of the report, which is written for it."""
        return self.report().figures

    def model(self) -> Predictor:
        """Return the winner as a function of a batch of raw inputs; raises UserError."""
        if self.space.restore is None:
            raise UserError(
                f"{self.space.name} has no function `restore`, which loads a model: give "
                "SearchSpace(restore=...), or read the checkpoint in Result.checkpoint yourself"
            )
        return restore_predictor(self.space, self.best.config, self.checkpoint)

    @property
    def checkpoint(self) -> Path:
        """Return the folder of the winner's best checkpoint; raises UserError without a score."""
        log = self._find_winner()
        return attempt_folder(self.folder, log.trial, log.attempts) / "best"

    def resume(self, trials: int = 0, **changes: Any) -> Result:
        """Continue the search with so many more trials, and with other arguments of `tune`."""
        total = self.settings.trials + trials
        again = {"trials": total, "resume": True, "fresh": False}
        return self._again(**{"confirm": None, **changes, **again})

    def _read_logs(self) -> list[TrialLog]:
        logs, damaged = read_trial_logs(self.folder)
        if damaged:
            raise DamagedFileError("\n".join(damaged.values()) + "\nResult.resume() runs it again")
        return [logs[trial] for trial in sorted(logs) if trial <= self.last]

    def _score(self, log: TrialLog) -> float | None:
        best = log.find_best_report(self.settings.metric, self.settings.mode)
        return best[0] if best else None

    def _find_winner(self) -> TrialLog:
        if not (ranked := self._rank()):
            raise UserError(f"no trial of {self.folder} has a score")
        return ranked[0]

    def _rank(self) -> list[TrialLog]:
        return rank_trial_logs(self._read_logs(), self.settings.metric, self.settings.mode)

    def __repr__(self) -> str:
        """Return a few lines: the search, the winner, and what to do next."""
        try:
            count, best = len(self._read_logs()), self._describe_best()
        except UserError as error:
            return f"{self.space.name}: {error}"
        has_model, metric = self.space.restore is not None, self.settings.metric
        return describe_result(self.space.name, metric, count, best, self.folder, has_model)

    def _describe_best(self) -> tuple[int, float, Mapping[str, Any]] | None:
        ranked = self._rank()
        score = self._score(ranked[0]) if ranked else None
        return None if score is None else (ranked[0].trial, score, ranked[0].config)

    def _repr_html_(self) -> str:
        """Return the page that Jupyter shows: the winner, the best trials, curves, next steps."""
        return show_result(
            self.space.title,
            self.settings.metric,
            self.trials,
            self.curves,
            [log.trial for log in self._rank()],
            self._describe_best(),
            self.folder,
            has_model=self.space.restore is not None,
        )
