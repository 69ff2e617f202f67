"""Confirmation of the best configurations with new seeds, without selection bias."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from reports.chapters.confirmation.significance import describe_tests, format_gain
from reports.numbers.paired import Array
from reports.numbers.statistics import is_finite, mean_interval
from reports.read.holdout_log import Opening
from reports.read.opened_test import OpenedTest
from reports.read.predictions import find_correct
from reports.read.records import Tracker
from reports.read.winner import SEEDS, group_reruns, list_lost, rank_confirmed, score_reruns
from reports.records import Search, TrialRecord
from reports.write.intervals import format_interval
from reports.write.tables import Table, drop_empty_columns, format_count, join_words, to_markdown


def write_section(tracker: Tracker, search: Search, test: OpenedTest) -> str | None:
    """Return the results of the re-runs and which configurations differ; None without re-runs.

    Opens the test predictions of the winner's, the runner-up's and the default's re-runs as far
    as that is allowed; with `--open-test-again` those of all configurations.
    """
    if not search.reruns:
        return None
    ranking, groups = rank_confirmed(search), group_reruns(search)
    opened = _open_reruns(search, ranking, test)
    parts = [_introduce(search, ranking), *_list_caveats(search)]
    entries = {of: _build_entry(of, groups[of]) for of in _select_tested(ranking)}
    rejected = [of for of, entry in entries.items() if of not in opened and test.is_closed(entry)]
    if rejected:
        parts.append(
            f"**The test set is not opened for the re-runs of {_name_numbers(rejected)}**: "
            f"{test.describe_rejection(entries[rejected[0]], 'these')}. The validation results "
            "are not affected."
        )
    if groups:
        parts.append(_write_table(search, ranking, groups, opened))
    if ranking:
        parts += [
            _describe_lost_lead(search, ranking),
            *describe_tests(search, ranking, opened),
        ]
    return "\n\n".join(part for part in parts if part)


def _select_tested(ranking: list[int]) -> list[int]:
    return [of for place, of in enumerate(ranking) if place < 2 or of == 0]


def _build_entry(of: int, runs: Iterable[TrialRecord]) -> Opening:
    return {"reruns_of": of, "runs": [run.number for run in runs]}


def _open_reruns(search: Search, ranking: list[int], test: OpenedTest) -> dict[int, Array]:
    # Correct predictions, (seeds, n), per configuration whose re-runs all have test predictions.
    groups, opened = group_reruns(search), {}
    picked = _select_tested(ranking)
    for of in ranking:
        if of in picked or test.again:
            entry = test.mark(_build_entry(of, groups[of]), of in picked)
            found = test.open_predictions(groups[of], entry)
            if found is not None:
                targets = found.examples.targets
                opened[of] = np.stack([find_correct(output, targets) for output in found.outputs])
    return opened


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
    if 0 not in {run.of for run in search.reruns}:
        lines.append("The default configuration (trial 0) was not re-run.")
    return lines


def _name_trials(runs: Iterable[TrialRecord]) -> str:
    return _name_numbers({run.of or 0 for run in runs})


def _name_numbers(trials: Iterable[int]) -> str:
    return join_words([f"trial {of}" for of in sorted(trials)])


def _write_table(
    search: Search,
    ranking: list[int],
    groups: Mapping[int, tuple[TrialRecord, ...]],
    opened: Mapping[int, Array],
) -> str:
    rows = []
    cut = _find_stopped(search)
    every = score_reruns(search)
    for of in [*ranking, *(of for of in groups if of not in ranking)]:
        scores = every[of]
        marks = [
            word
            for word, holds in (
                ("winner", ranking[:1] == [of]),
                ("runner-up", ranking[1:2] == [of]),
                ("default", of == 0),
            )
            if holds
        ]
        found = _find_search_score(search, of)
        lost = bool(list_lost(search, of))
        mean = mean_interval([float(np.mean(scores))] if lost else scores)
        test = mean_interval(opened[of].mean(axis=1).tolist()) if of in opened else None
        rows.append(
            (
                f"{of}" + (f" ({', '.join(marks)})" if marks else ""),
                f"{len(scores)}",
                "" if found is None else format_interval(mean_interval([found]), search.metric),
                format_interval(mean, search.metric),
                "" if found is None or of in cut else format_gain(search, found - mean.value),
                format_interval(test, "test_accuracy") if test else "",
            )
        )
    header = (
        "trial",
        "seeds",
        "search score",
        f"mean {search.metric}",
        "winner's curse",
        "mean test accuracy",
    )
    text = to_markdown(drop_empty_columns(Table(header, tuple(rows), "lrrrrr")))
    return text + (
        "\n\nIn brackets 95 % intervals over seeds on the same examples (Student's t, for "
        "normally distributed runs; unknown where all agree). The winner's curse is "
        "the search score minus the mean of the re-runs"
        f"{', with the opposite sign' if search.mode == 'min' else ''}: it is positive if the "
        "search score is optimistically biased."
        + "".join(
            f" It is empty for trial {of}, which was {cut[of]}: its search score is at a smaller "
            "budget."
            for of in groups
            if of in cut
        )
    )


def _describe_lost_lead(search: Search, ranking: list[int]) -> str:
    best, cut = (max if search.mode == "max" else min), _find_stopped(search)
    found = {of: _find_search_score(search, of) for of in ranking if of not in cut}
    scores = {of: score for of, score in found.items() if score is not None}
    leader = best(scores, key=lambda of: scores[of], default=ranking[0])
    if leader == ranking[0]:
        return ""
    mean = float(np.mean(score_reruns(search)[leader]))
    return (
        f"The best of these by search score, trial {leader}, is not the best with new seeds: its "
        f"search score is {format_gain(search, scores[leader] - mean)} better than its mean over "
        "new seeds."
    )


def _find_stopped(search: Search) -> dict[int, str]:
    return {t.number: t.outcome for t in search.trials if t.outcome != "complete"}


def _find_search_score(search: Search, of: int) -> float | None:
    score = next((t.metrics.get("score") for t in search.trials if t.number == of), None)
    return score if is_finite(score) else None
