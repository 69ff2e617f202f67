"""Write the study of a search again from its ledger, where its journal is damaged or lacks trials.

The ledger has every trial that has run, with what the sampler has drawn for it. What is lost are
the configurations that were infeasible, and the state of samplers that keep one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.ledger.trial_log import TrialLog
from cluster.sampling.initial_trials import InitialTrial
from cluster.sampling.journal_backend import Journal
from cluster.sampling.study_file import DamagedJournalError, open_study, write_study
from cluster.sampling.widening import widen_choices
from searchspaces.parameters import Parameter, is_in_range
from searchspaces.space import SearchSpace


def open_or_rebuild(
    path: Path,
    space: SearchSpace[Any],
    trial_logs: Mapping[int, TrialLog],
    parameters: Mapping[str, Parameter],
    initial_trials: Sequence[InitialTrial],
) -> tuple[Journal, optuna.Study, str]:
    """Return the journal and the study of a search, and a note where it was damaged.

    `trial_logs` are by their numbers in the study.
    """
    note = ""
    try:
        journal = Journal(path)
        study = open_study(journal, space)
        trials = study.get_trials(deepcopy=False)
        if missing := sorted(trial_logs.keys() - {trial.number for trial in trials}):
            raise DamagedJournalError(path, f"it lacks trial {missing[0]}")
        if not widen_choices(trials, space, parameters):
            return journal, study, ""
    except DamagedJournalError as error:
        kept = _keep(path)
        note = f"{path} is damaged ({error.problem:.200}): written again from the trials, kept as "
        note += kept
        trials = _make_trials(space, trial_logs, parameters, initial_trials)
    write_study(path, space, trials)
    journal = Journal(path)
    return journal, open_study(journal, space), note


def _keep(path: Path) -> str:
    """Rename a damaged journal, and return its new name."""
    number = 1
    while (old := path.with_name(f"study.damaged-{number}.journal")).exists():
        number += 1
    path.replace(old)
    return old.name


def _make_trials(
    space: SearchSpace[Any],
    trial_logs: Mapping[int, TrialLog],
    parameters: Mapping[str, Parameter],
    initial_trials: Sequence[InitialTrial],
) -> list[FrozenTrial]:
    """Return the trials of the ledger as the study would have them.

    The first of them are the initial ones, in their order; those that are missing run again.
    """
    trials = []
    for number in range(max(trial_logs, default=-1) + 1):
        if trial_log := trial_logs.get(number):
            trials.append(_make_trial(space, trial_log, parameters))
            if number < len(initial_trials):
                trials[-1].user_attrs.update(initial_trials[number].attributes)
        else:
            trials.append(create_trial(state=TrialState.FAIL))
    return trials


def _make_trial(
    space: SearchSpace[Any], trial_log: TrialLog, parameters: Mapping[str, Parameter]
) -> FrozenTrial:
    """Return a trial as the study would have it."""
    params = {
        name: value
        for name, value in trial_log.parameters.items()
        if name in parameters and is_in_range(parameters[name].distribution, value)
    }
    best = trial_log.find_best_report(space.metric, space.mode)
    state, value = TrialState.PRUNED, None
    if trial_log.outcome is None:
        state = TrialState.RUNNING
    elif trial_log.outcome == "failed" or not params:
        state = TrialState.FAIL
    elif trial_log.outcome == "complete" and best is not None:
        state, value = TrialState.COMPLETE, best[0]
    reports = trial_log.reports[-1:]
    return create_trial(
        state=state,
        value=value,
        params=params,
        distributions={name: parameters[name].distribution for name in params},
        intermediate_values={
            report.report: report.metrics[space.metric]
            for report in reports
            if space.metric in report.metrics
        },
    )
