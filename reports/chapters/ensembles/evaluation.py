"""What an ensemble is worth and what it costs, as numbers and as rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.blends import Blend, apply_blend
from reports.numbers.calibration import (
    apply_temperature,
    ece,
    fit_temperature,
    nll,
    nll_per_example,
)
from reports.numbers.paired import mcnemar, paired_bootstrap
from reports.numbers.statistics import Interval, wilson_interval
from reports.read.ensemble_members import Library
from reports.records import TrialRecord
from reports.write.intervals import format_difference, format_interval, format_p_value
from reports.write.tables import Table, drop_empty_columns, format_count, to_markdown

Array = NDArray[Any]


@dataclass(frozen=True)
class EvaluatedEnsemble:
    """A blend of models of a library, and an output (n, classes) by which it may be judged."""

    name: str
    blend: Blend
    library: Library
    output: Array

    @property
    def runs(self) -> list[TrialRecord]:
        return [self.library.runs[model] for model in self.blend.members]

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.output.argmax(axis=1) == self.library.targets)

    @property
    def parameters(self) -> float | None:
        counts = [run.metrics.get("parameters") for run in self.runs]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def evaluate_on(judged: EvaluatedEnsemble, members: Library) -> EvaluatedEnsemble:
    """The same blend on another split, where `members` holds its members alone, in their order."""
    blend = judged.blend.restrict_to(judged.blend.members)
    return EvaluatedEnsemble(judged.name, blend, members, apply_blend(blend, members.outputs))


def fit_ensemble_temperature(judged: EvaluatedEnsemble) -> float | None:
    """The temperature that suits the blend as a whole on its library's split; votes have none."""
    if judged.library.has_answers:
        return None
    return fit_temperature(
        apply_blend(judged.blend, judged.library.outputs), judged.library.targets
    )


def describe_opening(judged: EvaluatedEnsemble) -> dict[str, object]:
    """How the opening of the test set for an ensemble is put on record."""
    pairs = zip(judged.runs, judged.blend.members, strict=True)
    weights = {run.label: round(float(judged.blend.weights[model]), 4) for run, model in pairs}
    return {"ensemble": judged.name, "members": weights}


def score_ensemble(judged: EvaluatedEnsemble) -> tuple[float, float]:
    """The larger the better: accuracy, then likelihood."""
    likelihood = 0.0 if judged.library.has_answers else -nll(judged.output, judged.library.targets)
    return float(judged.right.mean()), likelihood


def format_members(judged: EvaluatedEnsemble) -> str:
    """`3 (0.50), 7 (0.33), re-run 14 (0.17)`: numbers of trials, with weights."""
    pairs = zip(judged.runs, judged.blend.members, strict=True)
    return ", ".join(f"{run.label} ({judged.blend.weights[model]:.3g})" for run, model in pairs)


def write_cost_table(all_judged: Sequence[EvaluatedEnsemble], single: EvaluatedEnsemble) -> str:
    """Each beside the single model: size, passes, and how well it does."""
    rows = []
    for judged in all_judged:
        size, alone, passes = judged.parameters, single.parameters, len(judged.runs)
        relative = f"{size / alone:.3g} ×" if size and alone else ""
        rows.append(
            (
                judged.name,
                f"{size:,.0f}" if size else "",
                relative,
                f"{passes}",
                *_quality(judged.output, judged.library),
            )
        )
    header = ("model", "parameters", "of the single one", "passes", "accuracy", "NLL", "ECE")
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrrrr")))


def write_quality_table(
    all_judged: Sequence[EvaluatedEnsemble], temperatures: Sequence[float | None]
) -> str:
    """Accuracy, likelihood and calibration, before and after scaling by these temperatures."""
    rows = []
    for judged, t in zip(all_judged, temperatures, strict=True):
        after = ("", "", "")
        if t is not None and not judged.library.has_answers:
            cooled = apply_temperature(judged.output, t)
            after = (f"{t:.3g}", *_quality(cooled, judged.library)[1:])
        rows.append((judged.name, *_quality(judged.output, judged.library), *after))
    header = ("model", "accuracy", "NLL", "ECE", "temperature", "NLL after", "ECE after")
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrrrr")))


def describe_gain(ours: EvaluatedEnsemble, single: EvaluatedEnsemble) -> str:
    """What an ensemble gains over one model, on the same examples, with paired intervals."""
    right, alone = ours.right, single.right
    accuracy = paired_bootstrap(right.astype(float) - alone)
    text = (
        f'The gain of "{ours.name}" over the single model is '
        f"{format_difference(accuracy, 'accuracy')} in accuracy, McNemar's mid-"
        f"{format_p_value(mcnemar(right, alone))}"
    )
    if not ours.library.has_answers:
        gain = nll_per_example(single.output, single.library.targets) - nll_per_example(
            ours.output, ours.library.targets
        )
        likelihood = format_difference(paired_bootstrap(gain), "nats")
        text += f", and {likelihood} nats per example in likelihood"
    return f"{text}; paired bootstrap over {format_count(len(right), 'example')}."


def _quality(output: Array, library: Library) -> tuple[str, str, str]:
    targets = library.targets
    found = wilson_interval(int((output.argmax(axis=1) == targets).sum()), len(targets))
    accuracy = format_interval(Interval(found.value, found.low, found.high, found.n), "accuracy")
    if library.has_answers:
        return accuracy, "", ""
    return accuracy, f"{nll(output, targets):.4f}", f"{ece(output, targets):.4f}"
