"""Significance tests of the confirmed winner against the others, paired and corrected."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import ttest_ind

from reports.numbers.paired import Array, adjust_p_values, compare_over_seeds
from reports.numbers.statistics import mean_interval
from reports.records import Search, TrialRecord
from reports.write.intervals import format_difference, format_p_value

LEVEL = 0.05
PAIRED = (
    "The runs are compared on the same test examples, with seeds and examples as crossed random "
    "effects (Student's t). McNemar's test on pooled pairs would count every example once per "
    "seed, and the bootstrap intervals of few seeds are too narrow."
)
UNPAIRED = "Without test predictions the validation scores are compared by Welch's t-test."


def describe_tests(
    search: Search,
    ranking: Sequence[int],
    groups: Mapping[int, Sequence[TrialRecord]],
    opened: Mapping[int, Array],
) -> list[str]:
    """Return paragraphs that compare the winner with the runner-up, the default and all opened.

    `opened` holds correct predictions, (seeds, n), per configuration. p-values are
    Holm-corrected.
    """
    winner = ranking[0]
    others = [of for of in ranking[1:] if of == ranking[1] or of == 0 or of in opened]
    if not others:
        return ["There is no second configuration to compare with the winner."]
    paired = all(of in opened for of in (winner, *others))
    lines, p_values = [], []
    for of in others:
        if paired:
            difference = compare_over_seeds(opened[winner], opened[of])
            gain = format_difference(difference.interval, "test_accuracy")
            lines.append(f"{gain} on the test set")
            p_values.append(difference.p)
        else:
            gap, p = _compare_on_validation(groups[winner], groups[of])
            lines.append(f"{format_gain(search, gap)} on validation")
            p_values.append(p)
    text = [
        f"- {_name_other(of, ranking)}: {line}, {format_p_value(p)}. **"
        f"{'Statistically significant' if p < LEVEL else 'Not statistically significant'}.**"
        for of, line, p in zip(others, lines, adjust_p_values(p_values), strict=True)
    ]
    correction = f", Holm-corrected for {len(others)} comparisons" if len(others) > 1 else ""
    return [
        f"Difference of the winner to the others{correction}:",
        "\n".join(text),
        PAIRED if paired else UNPAIRED,
    ]


def get_scores(runs: Iterable[TrialRecord]) -> list[float]:
    """Return the validation scores of runs."""
    return [run.metrics["score"] for run in runs]


def format_gain(search: Search, gain: float) -> str:
    """Return a difference of scores as text, positive if the first is better in either mode."""
    return format_difference(
        mean_interval([gain if search.mode == "max" else -gain]), search.metric
    )


def _compare_on_validation(
    ours: Sequence[TrialRecord], theirs: Sequence[TrialRecord]
) -> tuple[float, float]:
    a, b = get_scores(ours), get_scores(theirs)
    gap = float(np.mean(a) - np.mean(b))
    if np.ptp(a) == 0 and np.ptp(b) == 0:  # no variance: different or equal for certain
        return gap, float(gap == 0)
    return gap, float(ttest_ind(a, b, equal_var=False).pvalue)


def _name_other(of: int, ranking: Sequence[int]) -> str:
    marks = (("the runner-up", of == ranking[1]), ("the default", of == 0))
    return ", ".join([f"against trial {of}", *(word for word, holds in marks if holds)])
