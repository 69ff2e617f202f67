"""Quality and cost of an ensemble, as numbers and as table rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.blends import Blend, apply_blend
from reports.numbers.calibration import (
    apply_temperature,
    fit_temperature,
    nll,
    nll_per_example,
)
from reports.numbers.paired import compare_correct, paired_bootstrap
from reports.numbers.statistics import Interval, wilson_interval
from reports.read.ensemble_members import Library
from reports.records import TrialRecord
from reports.write.intervals import format_difference, format_interval, format_p_value
from reports.write.tables import Table, drop_empty_columns, format_count, to_markdown

Array = NDArray[Any]


@dataclass(frozen=True)
class EvaluatedEnsemble:
    """A blend of models of a library, and its output (n, classes) for the evaluation."""

    name: str
    blend: Blend
    library: Library
    output: Array

    @property
    def runs(self) -> list[TrialRecord]:
        """Return the members, largest weight first."""
        return [self.library.runs[model] for model in self.blend.members]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Return which predictions are correct, (n,)."""
        return np.asarray(self.output.argmax(axis=1) == self.library.targets)

    @property
    def parameters(self) -> float | None:
        """Return the parameters of all members together; None if one is unknown."""
        counts = [run.metrics.get("parameters") for run in self.runs]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def evaluate_on(ensemble: EvaluatedEnsemble, members: Library) -> EvaluatedEnsemble:
    """Return the same blend on another split; `members` holds only its members, in order."""
    blend = ensemble.blend.restrict_to(ensemble.blend.members)
    return EvaluatedEnsemble(ensemble.name, blend, members, apply_blend(blend, members.outputs))


def fit_ensemble_temperature(ensemble: EvaluatedEnsemble) -> float | None:
    """Return the temperature of the whole ensemble, fitted on the split of its models.

    None for votes.
    """
    if ensemble.library.has_answers:
        return None
    return fit_temperature(
        apply_blend(ensemble.blend, ensemble.library.outputs), ensemble.library.targets
    )


def describe_opening(ensemble: EvaluatedEnsemble) -> dict[str, object]:
    """Return the record of an opening of the test set for an ensemble."""
    pairs = zip(ensemble.runs, ensemble.blend.members, strict=True)
    weights = {run.label: round(float(ensemble.blend.weights[model]), 4) for run, model in pairs}
    return {"ensemble": ensemble.name, "members": weights}


def score_ensemble(ensemble: EvaluatedEnsemble) -> tuple[float, float]:
    """Return accuracy and log-likelihood, by which ensembles are ranked."""
    library = ensemble.library
    likelihood = 0.0 if library.has_answers else -nll(ensemble.output, library.targets)
    return float(ensemble.correct.mean()), likelihood


def format_members(ensemble: EvaluatedEnsemble) -> str:
    """Return `3 (0.50), 7 (0.33), re-run 14 (0.17)`: numbers of trials with weights."""
    pairs = zip(ensemble.runs, ensemble.blend.members, strict=True)
    return ", ".join(f"{run.label} ({ensemble.blend.weights[model]:.3g})" for run, model in pairs)


def write_cost_table(ensembles: Sequence[EvaluatedEnsemble], single: EvaluatedEnsemble) -> str:
    """Return size, forward passes and quality of every ensemble next to the single model."""
    rows = []
    for ensemble in ensembles:
        size, alone, passes = ensemble.parameters, single.parameters, len(ensemble.runs)
        relative = f"{size / alone:.3g} ×" if size and alone else ""
        rows.append(
            (
                ensemble.name,
                f"{size:,.0f}" if size else "",
                relative,
                f"{passes}",
                *_format_quality(ensemble.output, ensemble.library),
            )
        )
    header = ("model", "parameters", "relative", "passes", "accuracy", "NLL")
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrrr")))


def write_quality_table(
    ensembles: Sequence[EvaluatedEnsemble], temperatures: Sequence[float | None]
) -> str:
    """Return accuracy, and likelihood before and after temperature scaling."""
    rows = []
    for ensemble, t in zip(ensembles, temperatures, strict=True):
        after = ("", "")
        if t is not None and not ensemble.library.has_answers:
            cooled = apply_temperature(ensemble.output, t)
            after = (f"{t:.3g}", _format_quality(cooled, ensemble.library)[1])
        rows.append((ensemble.name, *_format_quality(ensemble.output, ensemble.library), *after))
    header = ("model", "accuracy", "NLL", "temperature", "NLL after")
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrr")))


def describe_gain(
    ours: EvaluatedEnsemble,
    single: EvaluatedEnsemble,
    temperatures: tuple[float | None, float | None],
) -> str:
    """Return the gain of an ensemble over one model on the same examples, with intervals.

    `temperatures` of both, fitted on other examples, for a comparison of their likelihoods at
    equal calibration; without them the likelihoods are not compared.
    """
    gain = compare_correct(ours.correct, single.correct)
    text = (
        f'The gain of "{ours.name}" over the single model is '
        f"{format_difference(gain.interval, 'accuracy')} in accuracy, McNemar's mid-"
        f"{format_p_value(gain.p)}"
    )
    first, second = temperatures
    if first is None or second is None:
        return f"{text}, over {format_count(gain.interval.n, 'example')}."
    losses = [
        nll_per_example(apply_temperature(ensemble.output, t), ensemble.library.targets)
        for ensemble, t in ((ours, first), (single, second))
    ]
    likelihood = format_difference(paired_bootstrap(losses[1] - losses[0]), "nats")
    return (
        f"{text}, and {likelihood} nats per example in likelihood, both at their temperatures "
        f"(paired bootstrap); over {format_count(gain.interval.n, 'example')}."
    )


def _format_quality(output: Array, library: Library) -> tuple[str, str]:
    targets = library.targets
    found = wilson_interval(int((output.argmax(axis=1) == targets).sum()), len(targets))
    accuracy = format_interval(Interval(found.value, found.low, found.high, found.n), "accuracy")
    return accuracy, "" if library.has_answers else f"{nll(output, targets):.4f}"
