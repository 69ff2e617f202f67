"""The Optuna study of a search: it suggests configurations and records their results.

It is kept in a journal file inside the search's folder, which one driver has locked.
"""

from __future__ import annotations

import bisect
import collections
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from cluster.ledger.files import journal_path
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.arms import Arm
from cluster.sampling.grid import ContinuousError, iterate_grid
from cluster.sampling.initial_trials import InitialTrial, can_be_redrawn
from cluster.sampling.rebuilding import open_or_rebuild
from cluster.sampling.samplers import ask_optuna, build_sampler
from cluster.sampling.study_file import quiet
from searchspaces.check import check_stable, find_infeasible
from searchspaces.codec import decode_fields, encode_config, to_json
from searchspaces.json_text import Json
from searchspaces.overrides import InvalidConfigError, build_config, encode_defaults, is_default
from searchspaces.parameters import find_parameters, with_fixed
from searchspaces.space import SearchSpace
from searchspaces.suggestion import run_suggest
from searchspaces.user_code import read_message
from trainables.errors import UserError

INFEASIBLE_BEFORE_RANDOM = 20
DUPLICATES_BEFORE_RANDOM = 10
DUPLICATES_BEFORE_GRID = 30
DRAWS_BEFORE_STOP = 1000
"""Draws in a row that are infeasible or were tried, before another way of drawing, or the end."""
MAX_INTERMEDIATE = 1000
"""Reports of a trial that the study has at most, evenly spaced, besides the last one."""


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try, as JSON: `parameters` are what the sampler has drawn."""

    trial: int
    parameters: Mapping[str, Any]
    config: Mapping[str, Json]
    tags: Mapping[str, str] = field(default_factory=dict)


class Study:
    """Asks Optuna for feasible configurations and tells it their results."""

    def __init__(
        self,
        ledger: Ledger,
        space: SearchSpace[Any],
        initial_trials: list[InitialTrial],
        arm: Arm | None = None,
    ) -> None:
        self.ledger = ledger
        self.space = space
        self.arm = arm or Arm()
        self.sampler: str = ledger.settings.sampler
        self.seed: int = ledger.settings.seed
        self.fixed: Mapping[str, Json] = {**ledger.settings.fixed, **self.arm.fixed}
        self.parameters = find_parameters(space)
        self.exhausted = False
        """Whether every configuration of the space has been tried."""
        logs = {
            self.arm.to_number(trial): log
            for trial, log in ledger.trial_logs.items()
            if self.arm.has_trial(trial)
        }
        self.journal, self.study, self.note = open_or_rebuild(
            journal_path(ledger.folder, arm.number if arm else None),
            space,
            logs,
            self.parameters,
            initial_trials,
        )
        self.infeasible_reasons: collections.Counter[str] = collections.Counter()
        self._interrupted: list[int] = []
        self._waiting: list[int] = []
        self._scores: list[float] = []
        self._tried = {_to_key(log.config) for log in logs.values()}
        self._grid: Iterator[Any] | None = iterate_grid(space, self.fixed, self.parameters)
        self._defaults = encode_defaults(space, {})
        self._control = ledger.settings.control
        self._control -= sum("control" in trial_log.tags for trial_log in logs.values())
        enqueued = set()
        trials = self.study.get_trials(deepcopy=False)
        self._asked = len(trials)
        for trial in trials:
            if "initial" in trial.user_attrs and not can_be_redrawn(trial):
                enqueued.add(trial.user_attrs["initial"])
            if "infeasible" in trial.user_attrs and trial.state.is_finished():
                self.infeasible_reasons[trial.user_attrs["infeasible"]] += 1
                self._tried.add(trial.user_attrs.get("config", ""))
            if trial.state == TrialState.RUNNING:
                self._repair(trial, logs.get(trial.number))
            if trial.state == TrialState.WAITING:
                self._waiting.append(trial.number)
        ranked = ledger.rank_trials(logs.values())
        self._scores = sorted(
            best[0] for trial_log in ranked if (best := ledger.best_report(trial_log))
        )
        for initial in initial_trials:
            if initial.key not in enqueued:
                self._enqueue(initial.parameters, initial.attributes)

    @property
    def infeasible(self) -> int:
        """Return how many configurations were infeasible."""
        return sum(self.infeasible_reasons.values())

    def ask(self) -> Suggestion | None:
        """Return the next feasible configuration that was not tried; None where there is none.

        Raises UserError where only infeasible ones are drawn, or where code of the space fails.
        """
        infeasible = duplicates = 0
        is_list = self.ledger.settings.kind == "confirmation"  # in which two may be equal
        while infeasible + duplicates < DRAWS_BEFORE_STOP:
            if not self._interrupted and not self._waiting:
                if is_list:
                    return None
                by_grid = self.sampler == "grid" or duplicates >= DUPLICATES_BEFORE_GRID
                if by_grid and not self._enqueue_untried():
                    self.exhausted = True
                    return None
            trial = self._next_trial(
                at_random=infeasible >= INFEASIBLE_BEFORE_RANDOM
                or duplicates >= DUPLICATES_BEFORE_RANDOM
            )
            values = self._draw(trial)
            key = _to_key(self._complete(values))
            if key in self._tried and not is_list:
                with quiet():
                    self.study.tell(trial, state=TrialState.FAIL)
                duplicates += 1
                continue
            try:
                config = build_config(self.space, values)
                reason = find_infeasible(self.space, config)
            except InvalidConfigError as error:
                reason = read_message(error)
            with quiet():  # an interrupted trial may have it already
                if reason is not None or self.space.feasible is not None:
                    trial.set_constraint("feasible", -1.0 if reason is None else 1.0)
            self._tried.add(key)
            if reason is None:
                check_stable(self.space, config)
                # Before the ledger has it: its number must never be given to another trial.
                self.journal.sync()
                encoded = encode_config(config)
                number, tags = self.arm.to_trial(trial.number), self._tags(trial, encoded)
                return Suggestion(number, dict(trial.params), encoded, tags)
            self._reject(trial, reason, key)
            infeasible += 1
        if not infeasible:
            self.exhausted = True
            return None
        reason, count = self.infeasible_reasons.most_common(1)[0]
        raise UserError(
            f"{DRAWS_BEFORE_STOP} configurations in a row were infeasible or tried before; the "
            f"most frequent reason ({count} times): {reason}\n"
            f"relax the limit, or narrow the ranges of the space {self.space.name}"
        )

    def _draw(self, trial: optuna.Trial) -> dict[str, Json]:
        """Return the values of a trial: what `suggest` returns, and what is fixed."""
        attributes = trial.user_attrs
        fixed = {**self.fixed, **json.loads(attributes.get("fixed", "{}"))}
        if attributes.get("whole"):
            return fixed
        ask = with_fixed(ask_optuna(trial), fixed, self.parameters)
        return {**run_suggest(self.space, ask, self.arm.to_trial(trial.number)), **fixed}

    def _complete(self, values: Mapping[str, Json]) -> dict[str, Json]:
        """Return the whole configuration of some values, as the ledger would have it."""
        try:
            decoded = decode_fields(self.space.config, values)
        except ValueError:  # the Config rejects it
            return {**self._defaults, **values}
        return {**self._defaults, **{name: to_json(value) for name, value in decoded.items()}}

    def _enqueue_untried(self) -> bool:
        """Enqueue the next configuration of a finite space that was not tried, if there is one."""
        try:
            for parameters, values in self._grid or ():
                if _to_key(self._complete(values)) not in self._tried:
                    self._enqueue(parameters, {})
                    return True
        except ContinuousError:
            if self.sampler == "grid":
                raise
            self._grid = None
            return True  # draw at random until one is new
        return self._grid is None

    def tell(self, trial_log: TrialLog) -> None:
        """Record the result of an ended trial in the study; repeating it changes nothing."""
        number = self.arm.to_number(trial_log.trial)
        frozen = self._frozen(number)
        if frozen.state.is_finished():
            return
        metric = self.space.metric
        best = self.ledger.best_report(trial_log)
        if best is not None and trial_log.outcome in ("complete", "stopped"):
            bisect.insort(self._scores, best[0])
        storage = self.study._storage
        # Optuna copies all of them for each one: a trial of 20,000 would take seconds.
        step = max(1, math.ceil(len(trial_log.reports) / MAX_INTERMEDIATE))
        for report in (*trial_log.reports[::step], *trial_log.reports[-1:]):
            if report.report not in frozen.intermediate_values and metric in report.metrics:
                storage.set_trial_intermediate_value(
                    frozen._trial_id, report.report, report.metrics[metric]
                )
        with quiet():
            # Without parameters it would leave the samplers no parameter that all trials have.
            if trial_log.outcome == "failed" or not frozen.params:
                self.study.tell(number, state=TrialState.FAIL)
            elif trial_log.outcome == "complete" and best is not None:
                self.study.tell(number, best[0])
            else:
                self.study.tell(number, state=TrialState.PRUNED)

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
        self.study.sampler = build_sampler(name, self.seed, self.arm.to_trial(number))
        with quiet():
            return optuna.Trial(self.study, trial_id)

    def _enqueue(self, parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        self._waiting.append(self._asked)
        self._asked += 1
        self.study.enqueue_trial(dict(parameters), user_attrs=dict(attributes))

    def _reject(self, trial: optuna.Trial, reason: str, key: str) -> None:
        # Samplers learn constraints from complete trials only. The value is the median of the
        # known scores, so that it teaches them nothing; no report reads it.
        trial.set_user_attr("infeasible", reason)
        trial.set_user_attr("config", key)  # a resumed search does not draw it again
        middle = self._scores[len(self._scores) // 2] if self._scores else 0.0
        with quiet():  # CMA-ES warns that it ignores constraints
            self.study.tell(trial, middle)
        self.infeasible_reasons[reason] += 1
        frozen = self._frozen(trial.number)
        if can_be_redrawn(frozen):
            attributes = {name: frozen.user_attrs[name] for name in ("initial", "fixed", "tags")}
            self._enqueue(frozen.system_attrs.get("fixed_params", {}), attributes)

    def _tags(self, trial: optuna.Trial, config: Mapping[str, Json]) -> Mapping[str, str]:
        # What runs decides, not what was planned: an arm may be the default, or none is.
        settings, own = self.ledger.settings, dict(self.arm.tags)
        if settings.kind == "trial" and is_default(self.space, settings.fixed, config):
            own["default"] = "yes"
        # The control group are the first sampled trials: their draws depend on no result.
        if "initial" in trial.user_attrs:
            return {**trial.user_attrs["tags"], **own}
        if self._control > 0:
            self._control -= 1
            own["control"] = "yes"
        return own

    def _frozen(self, number: int) -> FrozenTrial:
        storage, study = self.study._storage, self.study._study_id
        return storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study, number))

    def _repair(self, trial: FrozenTrial, trial_log: TrialLog | None) -> None:
        if trial_log is None:
            self._interrupted.append(trial.number)  # killed between ask and ledger
        elif trial_log.outcome is not None:
            self.tell(trial_log)  # killed between ledger and tell


def _to_key(config: Mapping[str, Json]) -> str:
    return json.dumps(config, sort_keys=True)
