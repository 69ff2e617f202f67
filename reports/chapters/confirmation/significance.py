"""Verdicts of a confirmation: the winner against the others, on the sealed test set alone.

Validation chose the winner, from the search and again from the re-runs, so that a difference on
it is optimistically biased and no test is made there.
"""

from dataclasses import dataclass

import numpy as np

from reports.numbers.means import FREEDOM, LEVEL
from reports.numbers.paired import Difference
from reports.numbers.seeds import compare_selected
from reports.numbers.statistics import mean_interval
from reports.read.opened_test import OpenedTest
from reports.read.winner import list_compared, list_lost, rank_confirmed, score_reruns
from reports.records import Search
from reports.write.intervals import format_difference, format_p_value

PAIRED = (
    "The runs are compared on the same test examples, over new seeds and new examples (Student's "
    "t for the seeds, whose variance is at least that of all re-runs on validation); the part of "
    "the seeds allows for each configuration that was re-run and could have been the winner. The "
    "comparisons are made in this order, each only where all before it are significant: a p-value "
    "is the largest up to there. An interval covers at least 95 %, since it allows for the same "
    "(95 to 99 % in simulations), and needs three runs of each."
)
NO_VERDICT = (
    "**No verdict**: these are differences on the validation data, by which these configurations "
    "and the winner were selected. They are optimistically biased (selection), and no test on "
    "the same data can say whether the winner is better on new ones."
)


@dataclass(frozen=True)
class Comparison:
    """The winner less another configuration on the test set; `p` is corrected for their number."""

    of: int
    difference: Difference
    p: float

    @property
    def is_significant(self) -> bool:
        """Return whether the difference is statistically significant."""
        return self.p < LEVEL

    @property
    def text(self) -> str:
        """Return the difference with its interval and p-value."""
        gain = format_difference(self.difference.interval, "test_accuracy")
        return f"{gain}, {format_p_value(self.p)}"


def compare_winner(search: Search, test: OpenedTest) -> list[Comparison]:
    """Return the winner compared with the others whose re-runs are open, the default first.

    They are tested in a fixed sequence: each only where all before it are significant, so that
    the family-wise error is that of one test. All that were confirmed count, opened or not, since
    each of them could have been the winner by the luck of the seeds that are tested. One that
    lost a seed is not tested: its remaining seeds are optimistically biased. None are tested
    where the runs are too few (`explain_few`).
    """
    ranking = rank_confirmed(search)
    if len(ranking) < 2 or ranking[0] not in test.reruns or list_lost(search, ranking[0]):
        return []
    if explain_few(search):
        return []
    default = search.default.number if search.default else None
    ours, found, p = test.reruns[ranking[0]], [], 0.0
    for of in sorted(ranking[1:], key=lambda of: of != default):
        if of in test.reruns and not list_lost(search, of):
            difference = compare_selected(
                ours, test.reruns[of], len(ranking) - 1, test.seed_variance
            )
            p = max(p, difference.p)
            found.append(Comparison(of, difference, p))
    return found


def explain_few(search: Search) -> str:
    """Return why too few runs were repeated for any test; empty where they are enough.

    With less than FREEDOM degrees of freedom, seeds of which every other one learns nothing
    would look like certainty: the winner beats an equal default in 6 %, and in 16 % if selected.
    """
    runs = [len(runs) for runs in score_reruns(search).values()]
    if sum(runs) - len(runs) >= FREEDOM:
        return ""
    few = f"{sum(runs)} runs of {len(runs)} configurations are too few for a test"
    return f"{few}; 3 seeds of each are enough"


def judge_default(search: Search, test: OpenedTest) -> str:
    """Return in a sentence whether the confirmed winner is better than the default on the test.

    Empty where nothing was confirmed, or where the default was not.
    """
    default, ranking = search.default, rank_confirmed(search)
    if default is None or default.number not in ranking:
        return ""
    name = f"the default configuration (trial {default.number})"
    if ranking[0] == default.number:
        return (
            f"**The winner is {name}**: no other has a better mean over new seeds. It is "
            "recommended."
        )
    compared = next((c for c in compare_winner(search, test) if c.of == default.number), None)
    if compared is None:
        few = explain_few(search)
        return (
            f"Whether the winner is better than {name} is not known: "
            f"{few or 'their re-runs are not compared on the test set'}."
            + (" The default is recommended." if few else "")
        )
    if not compared.is_significant:
        return (
            f"**{name[0].upper()}{name[1:]} is as good as the winner, as far as these runs "
            f"can tell**: the difference on the test set, {compared.text}, is not statistically "
            "significant. **The default is recommended.**"
        )
    if compared.difference.interval.value < 0:
        return (
            f"**The winner is worse than {name}** on the test set: {compared.text}. **The default "
            "is recommended.**"
        )
    return f"**The winner beats {name}** on the test set: {compared.text}."


def describe_tests(search: Search, test: OpenedTest) -> list[str]:
    """Return paragraphs that compare the winner with runner-up, default and whatever is open."""
    ranking = rank_confirmed(search)
    if len(ranking) < 2:
        return ["There is no second configuration to compare with the winner."]
    compared = compare_winner(search, test)
    if not compared:
        means = {of: float(np.mean(scores)) for of, scores in score_reruns(search).items()}
        lines = [
            f"- {_name_other(search, of, ranking)}: "
            f"{format_gain(search, means[ranking[0]] - means[of])} on validation"
            for of in list_compared(search)[1:]
        ]
        few = explain_few(search)
        return [f"{NO_VERDICT}{f' Here {few}.' if few else ''}\n\n" + "\n".join(lines)]
    lines = [
        f"- {_name_other(search, c.of, ranking)}: {c.text}. **"
        f"{'Statistically significant' if c.is_significant else 'Not statistically significant'}."
        "**"
        for c in compared
    ]
    return ["Difference of the winner to the others on the test set:", "\n".join(lines), PAIRED]


def format_gain(search: Search, gain: float) -> str:
    """Return a difference of scores as text, positive if the first is better in either mode."""
    return format_difference(
        mean_interval([gain if search.mode == "max" else -gain]), search.metric
    )


def _name_other(search: Search, of: int, ranking: list[int]) -> str:
    default = search.default is not None and of == search.default.number
    marks = (("the runner-up", of == ranking[1]), ("the default", default))
    return ", ".join([f"against trial {of}", *(word for word, holds in marks if holds)])
