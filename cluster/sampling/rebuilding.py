"""Write the study of a search again from its ledger, where its journal is damaged or lacks trials.

The ledger has every trial that has run, with what the sampler has drawn for it. What is lost are
the configurations that were infeasible, and the state of samplers that keep one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.journal_backend import Journal
from cluster.sampling.study_file import DamagedJournalError, open_study
from cluster.sampling.widening import widen_choices
from searchspaces.parameters import Parameter, is_in_range
from searchspaces.space import SearchSpace


def rebuild_study(
    path: Path, space: SearchSpace[Any], ledger: Ledger, parameters: Mapping[str, Parameter]
) -> Path:
    """Write the study in a journal again; return where the old journal is kept."""
    number = 1
    while (old := path.with_name(f"study.damaged-{number}.journal")).exists():
        number += 1
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    journal = Journal(draft)
    study = open_study(journal, space)
    for trial in range(max(ledger.trial_logs, default=-1) + 1):
        trial_log = ledger.trial_logs.get(trial)
        template = _make_trial(trial_log, ledger, parameters) if trial_log else _make_failed()
        study._storage.create_new_trial(study._study_id, template_trial=template)
    journal.sync()
    if path.exists():
        path.replace(old)
    draft.replace(path)
    return old


def open_or_rebuild(
    path: Path, space: SearchSpace[Any], ledger: Ledger, parameters: Mapping[str, Parameter]
) -> tuple[Journal, optuna.Study, str]:
    """Return the journal and the study of a search, and a note where it was written again."""
    try:
        widen_choices(path, space, parameters)
        journal = Journal(path)
        study = open_study(journal, space)
        numbers = {trial.number for trial in study.get_trials(deepcopy=False)}
        missing = sorted(ledger.trial_logs.keys() - numbers)
        problem = f"it lacks trial {missing[0]}" if missing else ""
    except DamagedJournalError as error:
        problem = error.problem
    if not problem:
        return journal, study, ""
    old = rebuild_study(path, space, ledger, parameters)
    journal = Journal(path)
    note = f"{path} is damaged ({problem:.200}): written again from the trials, kept as {old.name}"
    return journal, open_study(journal, space), note


def _make_failed() -> FrozenTrial:
    return create_trial(state=TrialState.FAIL)


def _make_trial(
    trial_log: TrialLog, ledger: Ledger, parameters: Mapping[str, Parameter]
) -> FrozenTrial:
    """Return a trial as the study would have it."""
    params = {
        name: value
        for name, value in trial_log.parameters.items()
        if name in parameters and is_in_range(parameters[name].distribution, value)
    }
    best = ledger.best_report(trial_log)
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
            report.report: report.metrics[ledger.metric]
            for report in reports
            if ledger.metric in report.metrics
        },
    )
