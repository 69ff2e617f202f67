"""One study per arm that is tuned, which take turns: the arms always have had as many trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.arms import Arm, list_arms
from cluster.sampling.initial_trials import InitialTrial, plan_arm_start
from cluster.sampling.study import Study, Suggestion
from searchspaces.space import SearchSpace


class ArmStudies:
    """Asks the study of the arm whose turn it is, as a `Study` is asked."""

    def __init__(self, ledger: Ledger, space: SearchSpace[Any], arms: Sequence[Arm]) -> None:
        self.ledger = ledger
        self.space = space
        self.arms = arms
        fixed = ledger.settings.fixed
        self.studies = [
            Study(ledger, space, [plan_arm_start(space, fixed, arm.fixed, arm.start)], arm)
            for arm in arms
        ]

    @property
    def infeasible(self) -> int:
        """Return how many configurations were infeasible."""
        return sum(study.infeasible for study in self.studies)

    @property
    def exhausted(self) -> bool:
        """Return whether every configuration of every arm has been tried."""
        return all(study.exhausted for study in self.studies)

    @property
    def note(self) -> str:
        """Return a note where journals were damaged."""
        return "\n".join(study.note for study in self.studies if study.note)

    def ask(self) -> Suggestion | None:
        """Return the next configuration of the arm with the fewest trials; None after the last.

        An arm whose configurations have all been tried ends before the others.
        """
        started = [0] * len(self.arms)
        for trial in self.ledger.trial_logs:
            started[trial % len(self.arms)] += 1
        for number in sorted(range(len(self.arms)), key=started.__getitem__):
            study = self.studies[number]
            if started[number] < self.ledger.settings.tune_arms and not study.exhausted:
                suggestion = study.ask()
                if suggestion is not None:
                    return suggestion
        return None

    def tell(self, trial_log: TrialLog) -> None:
        """Record the result of an ended trial in the study of its arm."""
        self.studies[trial_log.trial % len(self.arms)].tell(trial_log)


def open_studies(
    ledger: Ledger, space: SearchSpace[Any], initial_trials: Sequence[InitialTrial]
) -> Study | ArmStudies:
    """Return the study of a search, or those of its arms where these are tuned."""
    arms = list_arms(ledger.settings)
    return ArmStudies(ledger, space, arms) if arms else Study(ledger, space, list(initial_trials))
