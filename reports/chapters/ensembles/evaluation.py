"""What an ensemble is worth and what it costs, as numbers and as rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.blends import Blend, mixed
from reports.numbers.calibration import ece, losses, nll, scaled, temperature
from reports.numbers.paired import mcnemar, paired_bootstrap
from reports.numbers.statistics import Interval, wilson
from reports.read.ensemble_members import Library
from reports.records import TrialRecord
from reports.write.intervals import difference_text, interval_text, p_text
from reports.write.tables import Table, count_text, markdown, without_empty_columns

Array = NDArray[Any]


@dataclass(frozen=True)
class Judged:
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


def on_other(judged: Judged, members: Library) -> Judged:
    """The same blend on another split, where `members` holds its members alone, in their order."""
    blend = judged.blend.of(judged.blend.members)
    return Judged(judged.name, blend, members, mixed(blend, members.outputs))


def fitted(judged: Judged) -> float | None:
    """The temperature that suits the blend as a whole on its library's split; votes have none."""
    if judged.library.votes:
        return None
    return temperature(mixed(judged.blend, judged.library.outputs), judged.library.targets)


def opening(judged: Judged) -> dict[str, object]:
    """How the opening of the test set for an ensemble is put on record."""
    pairs = zip(judged.runs, judged.blend.members, strict=True)
    weights = {run.label: round(float(judged.blend.weights[model]), 4) for run, model in pairs}
    return {"ensemble": judged.name, "members": weights}


def standing(judged: Judged) -> tuple[float, float]:
    """The larger the better: accuracy, then likelihood."""
    likelihood = 0.0 if judged.library.votes else -nll(judged.output, judged.library.targets)
    return float(judged.right.mean()), likelihood


def members_text(judged: Judged) -> str:
    """`3 (0.50), 7 (0.33), re-run 14 (0.17)`: numbers of trials, with weights."""
    pairs = zip(judged.runs, judged.blend.members, strict=True)
    return ", ".join(f"{run.label} ({judged.blend.weights[model]:.3g})" for run, model in pairs)


def cost_table(all_judged: Sequence[Judged], single: Judged) -> str:
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
    return markdown(without_empty_columns(Table(header, tuple(rows), "lrrrrrr")))


def quality_table(all_judged: Sequence[Judged], temperatures: Sequence[float | None]) -> str:
    """Accuracy, likelihood and calibration, before and after scaling by these temperatures."""
    rows = []
    for judged, t in zip(all_judged, temperatures, strict=True):
        after = ("", "", "")
        if t is not None and not judged.library.votes:
            cooled = scaled(judged.output, t)
            after = (f"{t:.3g}", *_quality(cooled, judged.library)[1:])
        rows.append((judged.name, *_quality(judged.output, judged.library), *after))
    header = ("model", "accuracy", "NLL", "ECE", "temperature", "NLL after", "ECE after")
    return markdown(without_empty_columns(Table(header, tuple(rows), "lrrrrrr")))


def gain_text(ours: Judged, single: Judged) -> str:
    """What an ensemble gains over one model, on the same examples, with paired intervals."""
    right, alone = ours.right, single.right
    accuracy = paired_bootstrap(right.astype(float) - alone)
    text = (
        f'The gain of "{ours.name}" over the single model is '
        f"{difference_text(accuracy, 'accuracy')} in accuracy, McNemar's mid-"
        f"{p_text(mcnemar(right, alone))}"
    )
    if not ours.library.votes:
        gain = losses(single.output, single.library.targets) - losses(
            ours.output, ours.library.targets
        )
        likelihood = difference_text(paired_bootstrap(gain), "nats")
        text += f", and {likelihood} nats per example in likelihood"
    return f"{text}; paired bootstrap over {count_text(len(right), 'example')}."


def _quality(output: Array, library: Library) -> tuple[str, str, str]:
    targets = library.targets
    found = wilson(int((output.argmax(axis=1) == targets).sum()), len(targets))
    accuracy = interval_text(Interval(found.value, found.low, found.high, found.n), "accuracy")
    if library.votes:
        return accuracy, "", ""
    return accuracy, f"{nll(output, targets):.4f}", f"{ece(output, targets):.4f}"
