"""Confirmation of the best configurations with new seeds: means, curse, verdicts on the test."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from reports.chapters.confirmation.significance import describe_tests, format_gain
from reports.numbers.means import LEVEL
from reports.numbers.seeds import FEWEST, probability_better
from reports.numbers.statistics import is_finite, mean_interval
from reports.read.opened_test import OpenedTest
from reports.read.winner import SEEDS, group_reruns, list_lost, rank_confirmed, score_reruns
from reports.records import Search, TrialRecord
from reports.write.intervals import format_interval, format_probability
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_count,
    is_share,
    join_words,
    to_markdown,
)

SEED_PART = "winner's curse, new seeds"
WHOLE = "winner's curse, new seeds and examples"


def write_section(search: Search, test: OpenedTest) -> str | None:
    """Return the results of the re-runs and which configurations differ; None without re-runs.

    Opens nothing: `test` has the predictions that were opened for what is compared.
    """
    if not search.reruns:
        return None
    ranking, groups = rank_confirmed(search), group_reruns(search)
    parts = [_introduce(search, ranking), *_list_caveats(search)]
    if ranking and not test.reruns:
        why = test.missing or "this search has none"
        parts.append(f"**The test set is not opened for these re-runs**: {why}.")
    if groups:
        parts.append(_write_table(search, ranking, groups, test))
    if ranking:
        parts += [_describe_lost_lead(search, ranking), *describe_tests(search, test)]
    return "\n\n".join(part for part in parts if part)


def _introduce(search: Search, ranking: list[int]) -> str:
    again = len({run.of for run in search.reruns})
    text = (
        f"{format_count(again, 'configuration')} {'were' if again > 1 else 'was'} re-run with "
        f"new seeds at the full budget, {format_count(len(search.reruns), 'run')} in total. "
    )
    if not ranking:
        return text + (
            f"**No configuration has {SEEDS} complete re-runs yet**: the winner is still chosen "
            "by its search score, which is optimistically biased (selection)."
        )
    return text + (
        f"The winner is trial {ranking[0]}, which has the best mean validation score over new "
        "seeds; search scores are not used."
    )


def _list_caveats(search: Search) -> list[str]:
    lines = []
    lost = [run for run in search.reruns if run.outcome != "complete"]
    if lost:
        outcomes = Counter(run.outcome for run in lost)
        each = join_words([f"{n} {outcome}" for outcome, n in sorted(outcomes.items())])
        lines.append(
            f"**Not all re-runs are complete**: {each} ({_name_trials(lost)}). A seed that "
            "diverged or failed counts as the worst score of the search, and such a mean has no "
            "interval."
        )
    groups = group_reruns(search)
    few = [run for run in search.reruns if len(groups.get(run.of or 0, ())) < SEEDS]
    if few:
        lines.append(
            f"**Fewer than {SEEDS} seeds** for {_name_trials(few)}: no interval and no test, and "
            f"{'it' if len({run.of for run in few}) == 1 else 'they'} cannot win."
        )
    default = search.default
    if default is None:
        lines.append("No trial of this search is the default configuration.")
    elif default.number not in {run.of for run in search.reruns}:
        lines.append(f"The default configuration (trial {default.number}) was not re-run.")
    return lines


def _name_trials(runs: Iterable[TrialRecord]) -> str:
    return _name_numbers({run.of or 0 for run in runs})


def _name_numbers(trials: Iterable[int]) -> str:
    return join_words([f"trial {of}" for of in sorted(trials)])


def _write_table(
    search: Search,
    ranking: list[int],
    groups: Mapping[int, tuple[TrialRecord, ...]],
    test: OpenedTest,
) -> str:
    cut = _find_stopped(search)
    default = search.default.number if search.default else None
    every, rows = score_reruns(search), []
    for of in [*ranking, *(of for of in groups if of not in ranking)]:
        scores = every[of]
        marks = [
            word
            for word, holds in (
                ("winner", ranking[:1] == [of]),
                ("runner-up", ranking[1:2] == [of]),
                ("default", of == default),
            )
            if holds
        ]
        score, lost = _find_search_score(search, of), bool(list_lost(search, of))
        mean = mean_interval([float(np.mean(scores))] if lost else scores)
        fair = None if of in cut else score  # a stopped trial's is at a smaller budget
        rows.append(
            (
                f"{of}" + (f" ({', '.join(marks)})" if marks else ""),
                f"{len(scores)}",
                "" if score is None else format_interval(mean_interval([score]), search.metric),
                format_interval(mean, search.metric),
                "" if fair is None else format_gain(search, fair - mean.value),
                *_format_tested(search, test, of, fair, len(ranking)),
            )
        )
    header = (
        "trial",
        "seeds",
        "search score",
        f"mean {search.metric}",
        SEED_PART,
        "mean test accuracy",
        WHOLE,
        "P(better than default)",
    )
    text = to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrrrrr")))
    return f"{text}\n\n{_explain_table(search, test, [of for of in groups if of in cut])}"


def _format_tested(
    search: Search, test: OpenedTest, of: int, score: float | None, among: int
) -> tuple[str, str, str]:
    """Return test accuracy, whole winner's curse and P(better than default) of a trial as text.

    Each is empty where it is not known.
    """
    opened = test.reruns.get(of)
    if opened is None:
        return "", "", ""
    mean = test.find_mean(of)
    curse = format_gain(search, score - mean.value) if score is not None else ""
    default = test.reruns.get(search.default.number) if search.default else None
    better = ""
    if default is not None and default is not opened:
        # As of the best of all but the default, which each of them could have been.
        confidence = 1 - LEVEL / max(1, among - 1)
        better = format_probability(
            probability_better(opened, default, confidence, test.seed_variance)
        )
    return (
        format_interval(mean, "test_accuracy"),
        curse if _is_accuracy(search) else "",
        better,
    )


def _is_accuracy(search: Search) -> bool:
    """Return whether the score is what the test accuracy is, on other examples."""
    return search.metric == "validation_accuracy" and is_share(search.metric)


def _explain_table(search: Search, test: OpenedTest, cut: list[int]) -> str:
    sign = ", with the opposite sign" if search.mode == "min" else ""
    parts = [
        f"In brackets 95 % intervals. That of the mean {search.metric} is over new seeds on the "
        "same examples (Student's t): the search selected by these examples, and the best mean "
        f"is selected once more. The winner's curse is the search score minus the mean{sign}, "
        'positive where the search score is optimistically biased. "New seeds" is the part of it '
        "that is due to seeds alone."
    ]
    if test.reruns:
        parts.append(
            "The test accuracy selected nothing. Its interval is over new seeds and new examples, "
            f"from {FEWEST} runs on, with the spread of the seeds at least that pooled over these "
            "configurations, and allows for the luck by which the winner was selected. P(better) "
            "is the probability that a new run has a higher accuracy than one of the default on "
            "new examples (noncentral t distribution, corrected for the number of "
            "configurations)."
        )
    if test.reruns and _is_accuracy(search):
        parts.append(
            "The winner's curse of new seeds and examples is the whole of it, plus the difference "
            "in difficulty between the validation set and the test set."
        )
    stopped = [f"trial {of}, which was {_find_stopped(search)[of]}" for of in cut]
    if stopped:
        parts.append(
            f"It is empty for {join_words(stopped)}: the search score is at a smaller budget."
        )
    return " ".join(parts)


def _describe_lost_lead(search: Search, ranking: list[int]) -> str:
    best, cut = (max if search.mode == "max" else min), _find_stopped(search)
    found = {of: _find_search_score(search, of) for of in ranking if of not in cut}
    scores = {of: score for of, score in found.items() if score is not None}
    leader = best(scores, key=lambda of: scores[of], default=ranking[0])
    if leader == ranking[0]:
        return ""
    mean = float(np.mean(score_reruns(search)[leader]))
    return (
        f"The best of these by search score, trial {leader}, does not have the best mean over "
        f"new seeds: its search score is {format_gain(search, scores[leader] - mean)} better than "
        "its mean."
    )


def _find_stopped(search: Search) -> dict[int, str]:
    return {t.number: t.outcome for t in search.trials if t.outcome != "complete"}


def _find_search_score(search: Search, of: int) -> float | None:
    score = next((t.metrics.get("score") for t in search.trials if t.number == of), None)
    return score if is_finite(score) else None
