"""The Optuna study of a search: which configuration is tried next, and what was learnt of it.

Kept in a journal file inside the search's folder, whose lock is ours alone.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.initial_trials import InitialTrial
from cluster.sampling.journal_backend import Journal
from cluster.sampling.parameters import answer_with_fixed, run_suggest
from cluster.sampling.samplers import build_sampler
from searchspaces.overrides import build_config
from searchspaces.space import SearchSpace
from trainables.errors import UserError

JOURNAL = "study.journal"
INFEASIBLE_BEFORE_RANDOM = 20
INFEASIBLE_BEFORE_STOP = 1000
OPTIONS = "put the file back as it was, or start the search anew with --fresh"

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try: `values` are what differs from the default Config."""

    trial: int
    values: Mapping[str, Any]
    config: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


class Study:
    """Asks Optuna for feasible configurations and tells it what became of them."""

    def __init__(
        self, ledger: Ledger, space: SearchSpace[Any], points: list[InitialTrial]
    ) -> None:
        self.ledger = ledger
        self.space = space
        self.sampler: str = ledger.settings.sampler
        self.seed: int = ledger.settings.seed
        self.fixed: Mapping[str, Any] = ledger.settings.fixed
        self.journal = Journal(ledger.folder / JOURNAL)
        self.study = open_study(self.journal, space)
        self.infeasible_reasons: collections.Counter[str] = collections.Counter()
        self._unasked: list[int] = []
        self._waiting: list[int] = []
        self._scores: list[float] = []
        self._control = ledger.settings.control
        self._control -= sum(
            "control" in trial_log.tags for trial_log in ledger.trial_logs.values()
        )
        known = set()
        trials = self.study.get_trials(deepcopy=False)
        if lost := sorted(ledger.trial_logs.keys() - {trial.number for trial in trials}):
            some = ", ".join(map(str, lost[:5])) + (" and others" if lost[5:] else "")
            raise UserError(
                f"{self.journal.path} lacks trials that the search has: {some}\n{OPTIONS}"
            )
        self._asked = len(trials)
        for trial in trials:
            if "point" in trial.user_attrs and not _badly_drawn(trial):
                known.add(trial.user_attrs["point"])
            if "infeasible" in trial.user_attrs and trial.state.is_finished():
                self.infeasible_reasons[trial.user_attrs["infeasible"]] += 1
            if trial.state == TrialState.RUNNING:
                self._mend(trial)
            if trial.state == TrialState.WAITING:
                self._waiting.append(trial.number)
        ranked = ledger.rank_trials(ledger.trial_logs.values())
        self._scores = sorted(
            best[0] for trial_log in ranked if (best := ledger.best_report(trial_log))
        )
        for point in points:
            if point.key not in known:
                attributes = {"point": point.key, "fixed": json.dumps(dict(point.fixed))}
                self._enqueue(point.parameters, {**attributes, "tags": dict(point.tags)})

    @property
    def infeasible(self) -> int:
        """Give how many configurations were refused."""
        return sum(self.infeasible_reasons.values())

    def ask(self) -> Suggestion | None:
        """Give the next feasible configuration; None where a list of points is used up.

        Raises UserError where there seems to be none.
        """
        for refusals in range(INFEASIBLE_BEFORE_STOP):
            if self.sampler == "grid" and not self._unasked and not self._waiting:
                return None
            trial = self._next_trial(at_random=refusals >= INFEASIBLE_BEFORE_RANDOM)
            own = json.loads(trial.user_attrs.get("fixed", "{}"))
            fixed = {**self.fixed, **own}
            values = {**run_suggest(self.space, answer_with_fixed(trial, fixed)), **fixed}
            config = build_config(self.space, values)
            reason = self.space.feasible(config) if self.space.feasible else None
            if self.space.feasible is not None:
                with _quiet():  # a trial whose asking was cut short may have it already
                    trial.set_constraint("feasible", -1.0 if reason is None else 1.0)
            if reason is None:
                # Before the ledger names it: its number is never given to another trial.
                self.journal.sync()
                return Suggestion(trial.number, values, asdict(config), self._tags(trial))
            self._refuse(trial, reason)
        reason, count = self.infeasible_reasons.most_common(1)[0]
        raise UserError(
            f"{INFEASIBLE_BEFORE_STOP} configurations in a row were refused; the commonest reason "
            f"({count} times): {reason}\nwiden the limit or narrow the space {self.space.name}"
        )

    def tell(self, trial_log: TrialLog) -> None:
        """Tell Optuna of an ended trial; telling again changes nothing."""
        frozen = self._frozen(trial_log.trial)
        if frozen.state.is_finished():
            return
        metric = self.space.metric
        best = self.ledger.best_report(trial_log)
        if best is not None and trial_log.outcome in ("complete", "stopped"):
            bisect.insort(self._scores, best[0])
        storage = self.study._storage
        for report in trial_log.reports:
            if report.report not in frozen.intermediate_values and metric in report.metrics:
                storage.set_trial_intermediate_value(
                    frozen._trial_id, report.report, report.metrics[metric]
                )
        with _quiet():
            if trial_log.outcome == "failed":
                self.study.tell(trial_log.trial, state=TrialState.FAIL)
            elif trial_log.outcome == "complete" and best is not None:
                self.study.tell(trial_log.trial, best[0])
            else:
                self.study.tell(trial_log.trial, state=TrialState.PRUNED)

    def _next_trial(self, at_random: bool) -> optuna.Trial:
        # As Study.ask does, which would look through all trials for one that waits.
        storage = self.study._storage
        self.study._thread_local.cached_all_trials = None
        kind = "random" if at_random or self.sampler == "grid" else self.sampler
        if self._unasked:
            number, kind = self._unasked.pop(0), "random"
            trial_id = self._frozen(number)._trial_id
        elif self._waiting:
            number = self._waiting.pop(0)
            trial_id = self._frozen(number)._trial_id
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            number, self._asked = self._asked, self._asked + 1
            trial_id = storage.create_new_trial(self.study._study_id)
        # A sampler of its own for every trial, seeded by its number: a driver that was killed
        # and resumed never draws the same again.
        self.study.sampler = build_sampler(kind, self.seed, number)
        with _quiet():
            return optuna.Trial(self.study, trial_id)

    def _enqueue(self, parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        self._waiting.append(self._asked)
        self._asked += 1
        self.study.enqueue_trial(dict(parameters), user_attrs=dict(attributes))

    def _refuse(self, trial: optuna.Trial, reason: str) -> None:
        # Samplers learn of a constraint from complete trials alone. The value tells them
        # nothing: it is the middle of what is known, and no report ever reads it.
        trial.set_user_attr("infeasible", reason)
        middle = self._scores[len(self._scores) // 2] if self._scores else 0.0
        with _quiet():  # CMA-ES says that it knows no constraints
            self.study.tell(trial, middle)
        self.infeasible_reasons[reason] += 1
        frozen = self._frozen(trial.number)
        if _badly_drawn(frozen):
            kept = {name: frozen.user_attrs[name] for name in ("point", "fixed", "tags")}
            self._enqueue(frozen.system_attrs.get("fixed_params", {}), kept)

    def _tags(self, trial: optuna.Trial) -> Mapping[str, str]:
        # The control group is the first that are sampled: their draws know of no result yet.
        if "point" in trial.user_attrs:
            tags: Mapping[str, str] = trial.user_attrs["tags"]
            return tags
        if self._control <= 0:
            return {}
        self._control -= 1
        return {"control": "yes"}

    def _frozen(self, number: int) -> FrozenTrial:
        storage = self.study._storage
        return storage.get_trial(
            storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        )

    def _mend(self, trial: FrozenTrial) -> None:
        trial_log = self.ledger.trial_logs.get(trial.number)
        if trial_log is None:
            self._unasked.append(trial.number)  # killed between asking and writing down
        elif trial_log.outcome is not None:
            self.tell(trial_log)  # killed between writing down and telling


def open_study(journal: Journal, space: SearchSpace[Any]) -> optuna.Study:
    """Open the study in a journal, or begin one; the caller holds the search's lock."""
    with _quiet():
        return optuna.create_study(
            storage=_storage(journal),
            study_name=space.name,
            direction="maximize" if space.mode == "max" else "minimize",
            load_if_exists=True,
        )


def count_infeasible(folder: Path) -> int:
    """Count the refused configurations of a search by its folder."""
    storage = _storage(Journal(folder / JOURNAL))
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
    return sum("infeasible" in trial.user_attrs for trial in trials)


def _storage(journal: Journal) -> optuna.storages.JournalStorage:
    try:
        return optuna.storages.JournalStorage(journal)
    except Exception as error:  # Optuna has no error of its own for what it cannot replay
        raise UserError(f"{journal.path} is damaged: {error!r}\n{OPTIONS}") from error


def _badly_drawn(trial: FrozenTrial) -> bool:
    """Tell of an arm's refused trial whether others of the arm need not be refused.

    An arm is not lost for one bad draw of what it leaves open: it is asked for again.
    """
    refused = "infeasible" in trial.user_attrs and trial.state.is_finished()
    pinned = trial.system_attrs.get("fixed_params", {})
    return refused and "point" in trial.user_attrs and set(trial.params) > set(pinned)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
