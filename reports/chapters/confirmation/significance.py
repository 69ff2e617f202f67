"""Significance tests of the confirmed winner against the others, paired and corrected."""

from collections.abc import Mapping, Sequence

from reports.numbers.means import LEVEL, compare_means, explain_refusal
from reports.numbers.paired import Array, adjust_p_values, compare_over_seeds
from reports.numbers.statistics import mean_interval
from reports.read.winner import list_lost, score_reruns
from reports.records import Search
from reports.write.intervals import format_difference, format_p_value

PAIRED = (
    "The runs are compared on the same test examples, with seeds and examples as crossed random "
    "effects (Student's t). McNemar's test on pooled pairs would count every example once per "
    "seed, and the bootstrap intervals of few seeds are too narrow."
)
UNPAIRED = (
    "The mean validation scores over seeds are compared (Student's t), since not all re-runs have "
    "test predictions."
)


def describe_tests(
    search: Search, ranking: Sequence[int], opened: Mapping[int, Array]
) -> list[str]:
    """Return paragraphs that compare the winner with the runner-up, the default and all opened.

    `opened` holds correct predictions, (seeds, n), per configuration. p-values are
    Holm-corrected.
    """
    winner = ranking[0]
    others = [of for of in ranking[1:] if of == ranking[1] or of == 0 or of in opened]
    if not others:
        return ["There is no second configuration to compare with the winner."]
    lost = [of for of in (winner, *others) if list_lost(search, of)]
    if not lost and all(of in opened for of in (winner, *others)):
        found = [compare_over_seeds(opened[winner], opened[of]) for of in others]
        gains = [
            f"{format_difference(difference.interval, 'test_accuracy')} on the test set"
            for difference in found
        ]
        p_values, how = adjust_p_values([difference.p for difference in found]), PAIRED
        tests = len(others)
    else:
        scores = score_reruns(search)
        runs = [scores[of] for of in (winner, *others)]
        if reason := explain_refusal(runs):
            return [f"The winner is not tested against the others: {reason}."]
        every = compare_means(runs)
        pairs, tests = [pair for pair in every if pair.first == 0], len(every)
        gains = [
            f"{format_gain(search, pair.difference.interval.value)} on validation"
            for pair in pairs
        ]
        p_values, how = [pair.p for pair in pairs], UNPAIRED
    text = [
        f"- {_name_other(of, ranking)}: {gain}, {format_p_value(p)}. **"
        f"{'Statistically significant' if p < LEVEL else 'Not statistically significant'}.**"
        for of, gain, p in zip(others, gains, p_values, strict=True)
    ]
    correction = f", Holm-corrected for {tests} comparisons" if tests > 1 else ""
    return [f"Difference of the winner to the others{correction}:", "\n".join(text), how]


def format_gain(search: Search, gain: float) -> str:
    """Return a difference of scores as text, positive if the first is better in either mode."""
    return format_difference(
        mean_interval([gain if search.mode == "max" else -gain]), search.metric
    )


def _name_other(of: int, ranking: Sequence[int]) -> str:
    marks = (("the runner-up", of == ranking[1]), ("the default", of == 0))
    return ", ".join([f"against trial {of}", *(word for word, holds in marks if holds)])
