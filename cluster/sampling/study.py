"""The Optuna study of a search: it suggests configurations and records their results.

It is kept in a journal file inside the search's folder, which one driver has locked.
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

from cluster.ledger.ledger import JOURNAL, Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.initial_trials import InitialTrial
from cluster.sampling.journal_backend import Journal
from cluster.sampling.parameters import answer_with_fixed, run_suggest
from cluster.sampling.samplers import build_sampler
from searchspaces.overrides import build_config
from searchspaces.space import SearchSpace
from trainables.errors import UserError

INFEASIBLE_BEFORE_RANDOM = 20
INFEASIBLE_BEFORE_STOP = 1000
FIX = "restore the file, or start a new search with --fresh"

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try: `values` are the sampled and fixed values, `config` all of them."""

    trial: int
    values: Mapping[str, Any]
    config: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


class Study:
    """Asks Optuna for feasible configurations and tells it their results."""

    def __init__(
        self, ledger: Ledger, space: SearchSpace[Any], initial_trials: list[InitialTrial]
    ) -> None:
        self.ledger = ledger
        self.space = space
        self.sampler: str = ledger.settings.sampler
        self.seed: int = ledger.settings.seed
        self.fixed: Mapping[str, Any] = ledger.settings.fixed
        self.journal = Journal(ledger.folder / JOURNAL)
        self.study = open_study(self.journal, space)
        self.infeasible_reasons: collections.Counter[str] = collections.Counter()
        self._interrupted: list[int] = []
        self._waiting: list[int] = []
        self._scores: list[float] = []
        self._control = ledger.settings.control
        self._control -= sum(
            "control" in trial_log.tags for trial_log in ledger.trial_logs.values()
        )
        enqueued = set()
        trials = self.study.get_trials(deepcopy=False)
        if missing := sorted(ledger.trial_logs.keys() - {trial.number for trial in trials}):
            some = ", ".join(map(str, missing[:5])) + (" and others" if missing[5:] else "")
            raise UserError(f"{self.journal.path} lacks trials that the ledger has: {some}\n{FIX}")
        self._asked = len(trials)
        for trial in trials:
            if "initial" in trial.user_attrs and not _can_be_redrawn(trial):
                enqueued.add(trial.user_attrs["initial"])
            if "infeasible" in trial.user_attrs and trial.state.is_finished():
                self.infeasible_reasons[trial.user_attrs["infeasible"]] += 1
            if trial.state == TrialState.RUNNING:
                self._repair(trial)
            if trial.state == TrialState.WAITING:
                self._waiting.append(trial.number)
        ranked = ledger.rank_trials(ledger.trial_logs.values())
        self._scores = sorted(
            best[0] for trial_log in ranked if (best := ledger.best_report(trial_log))
        )
        for initial in initial_trials:
            if initial.key not in enqueued:
                attributes = {"initial": initial.key, "fixed": json.dumps(dict(initial.fixed))}
                self._enqueue(initial.parameters, {**attributes, "tags": dict(initial.tags)})

    @property
    def infeasible(self) -> int:
        """Return how many configurations were infeasible."""
        return sum(self.infeasible_reasons.values())

    def ask(self) -> Suggestion | None:
        """Return the next feasible configuration; None where a grid or a list is exhausted.

        Raises UserError where no feasible one is found.
        """
        for rejected in range(INFEASIBLE_BEFORE_STOP):
            if self.sampler == "grid" and not self._interrupted and not self._waiting:
                return None
            trial = self._next_trial(at_random=rejected >= INFEASIBLE_BEFORE_RANDOM)
            own = json.loads(trial.user_attrs.get("fixed", "{}"))
            fixed = {**self.fixed, **own}
            values = {**run_suggest(self.space, answer_with_fixed(trial, fixed)), **fixed}
            config = build_config(self.space, values)
            reason = self.space.feasible(config) if self.space.feasible else None
            if self.space.feasible is not None:
                with _quiet():  # an interrupted trial may have it already
                    trial.set_constraint("feasible", -1.0 if reason is None else 1.0)
            if reason is None:
                # Before the ledger has it: its number must never be given to another trial.
                self.journal.sync()
                return Suggestion(trial.number, values, asdict(config), self._tags(trial))
            self._reject(trial, reason)
        reason, count = self.infeasible_reasons.most_common(1)[0]
        raise UserError(
            f"{INFEASIBLE_BEFORE_STOP} configurations in a row were infeasible; the most "
            f"frequent reason ({count} times): {reason}\n"
            f"relax the limit, or narrow the ranges of the space {self.space.name}"
        )

    def tell(self, trial_log: TrialLog) -> None:
        """Record the result of an ended trial in the study; repeating it changes nothing."""
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
        # Like Study.ask, which would search all trials for a waiting one.
        storage = self.study._storage
        self.study._thread_local.cached_all_trials = None
        name = "random" if at_random or self.sampler == "grid" else self.sampler
        if self._interrupted:
            number, name = self._interrupted.pop(0), "random"
            trial_id = self._frozen(number)._trial_id
        elif self._waiting:
            number = self._waiting.pop(0)
            trial_id = self._frozen(number)._trial_id
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            number, self._asked = self._asked, self._asked + 1
            trial_id = storage.create_new_trial(self.study._study_id)
        # Every trial has its own sampler, seeded by its number: a resumed driver does not repeat
        # the draws of the one that was killed.
        self.study.sampler = build_sampler(name, self.seed, number)
        with _quiet():
            return optuna.Trial(self.study, trial_id)

    def _enqueue(self, parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        self._waiting.append(self._asked)
        self._asked += 1
        self.study.enqueue_trial(dict(parameters), user_attrs=dict(attributes))

    def _reject(self, trial: optuna.Trial, reason: str) -> None:
        # Samplers learn constraints from complete trials only. The value is the median of the
        # known scores, so that it teaches them nothing; no report reads it.
        trial.set_user_attr("infeasible", reason)
        middle = self._scores[len(self._scores) // 2] if self._scores else 0.0
        with _quiet():  # CMA-ES warns that it ignores constraints
            self.study.tell(trial, middle)
        self.infeasible_reasons[reason] += 1
        frozen = self._frozen(trial.number)
        if _can_be_redrawn(frozen):
            attributes = {name: frozen.user_attrs[name] for name in ("initial", "fixed", "tags")}
            self._enqueue(frozen.system_attrs.get("fixed_params", {}), attributes)

    def _tags(self, trial: optuna.Trial) -> Mapping[str, str]:
        # The control group are the first sampled trials: their draws depend on no result.
        if "initial" in trial.user_attrs:
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

    def _repair(self, trial: FrozenTrial) -> None:
        trial_log = self.ledger.trial_logs.get(trial.number)
        if trial_log is None:
            self._interrupted.append(trial.number)  # killed between ask and ledger
        elif trial_log.outcome is not None:
            self.tell(trial_log)  # killed between ledger and tell


def open_study(journal: Journal, space: SearchSpace[Any]) -> optuna.Study:
    """Open or create the study in a journal; the caller holds the search's lock."""
    with _quiet():
        return optuna.create_study(
            storage=_storage(journal),
            study_name=space.name,
            direction="maximize" if space.mode == "max" else "minimize",
            load_if_exists=True,
        )


def count_infeasible(folder: Path) -> int:
    """Return the number of infeasible configurations of a search, by its folder."""
    storage = _storage(Journal(folder / JOURNAL))
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
    return sum("infeasible" in trial.user_attrs for trial in trials)


def _storage(journal: Journal) -> optuna.storages.JournalStorage:
    try:
        return optuna.storages.JournalStorage(journal)
    except Exception as error:  # Optuna has no error class for a journal that it cannot replay
        raise UserError(f"{journal.path} is damaged: {error!r}\n{FIX}") from error


def _can_be_redrawn(trial: FrozenTrial) -> bool:
    """Return whether an initial trial was rejected for sampled values, which can be drawn again.

    An arm is not lost by one infeasible draw of the parameters that it leaves open.
    """
    rejected = "infeasible" in trial.user_attrs and trial.state.is_finished()
    enqueued = trial.system_attrs.get("fixed_params", {})
    return rejected and "initial" in trial.user_attrs and set(trial.params) > set(enqueued)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
