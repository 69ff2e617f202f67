"""The question of the space, answered: its compared hyperparameters, best over all the others."""

from collections.abc import Mapping, Sequence

from reports.chapters.comparison import pairs
from reports.chapters.comparison.figure import draw_comparison
from reports.chapters.comparison.groups import (
    Group,
    find_differing,
    find_enqueued,
    find_nuisances,
    group_trials,
    is_repeated,
    name_group,
)
from reports.chapters.comparison.pairs import LEVEL, Pair
from reports.chapters.comparison.published import Column, describe_ranking, find_column
from reports.numbers.paired import Array, adjust_p_values
from reports.numbers.statistics import interquartile_mean, mean_interval, rank_by
from reports.read.predictions import find_correct, read_examples, read_predictions
from reports.read.records import Tracker
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import to_words
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_count,
    format_score,
    format_value,
    is_share,
    join_words,
    to_markdown,
)

TESTED = 20  # groups compared by their predictions: one file each
SHOWN = 40  # groups in the table
DRAWN = 40  # groups in the figure
SEEDS = 3  # of every row, from which an interquartile mean is shown


def write_section(
    tracker: Tracker, search: Search, validation: int | None = None
) -> Section | None:
    """Table, answers and figure; None where the space compares nothing that varies.

    `validation` is the number of examples that a score that is a share was measured on.
    """
    found = group_trials(search)
    if len(found) < 2:
        return None
    repeated = is_repeated(found)
    # Ranked by what is shown: means where every row is a mean, else the best.
    score = (lambda g: g.mean) if repeated else (lambda g: g.best.metrics["score"])
    order = rank_by([g for g in found if g.trials], score, search.mode)
    if not order:
        return None
    hits = {} if repeated else _hits(tracker, search, order)
    every = (
        pairs.compare_by_seeds(order, search.mode)
        if repeated
        else pairs.compare_by_examples(order, hits)
    )
    against = _against_best(order[0], every)
    theirs = find_column(search, found)
    shown = order[:SHOWN] + [g for g in found if not g.trials][:SHOWN]
    left_out = max(0, len(order) - SHOWN)
    returns = repeated and search.mode == "max" and not is_share(search.metric)
    middle = returns and all(len(g.trials) >= SEEDS for g in order)
    drawn = [g for g in shown if g.trials or (theirs and theirs.text(g))][:DRAWN]
    alone = any(not g.trials for g in drawn)
    text = join_paragraphs(
        _table(search, shown, order[0], against, theirs, repeated, middle),
        _single_runs(search, order) if repeated else None,
        pairs.describe_pairs(search, every),
        _more_found(order[0], every, against),
        describe_ranking(search, theirs, every) if theirs else None,
        _explained(search, found, repeated, middle, len(against))
        + (f" {left_out} further groups are left out." if left_out else ""),
        _beside(search, theirs, validation) if theirs else None,
        embed_figure("comparison", "Scores of the compared settings"),
        _legend(repeated, theirs, is_share(search.metric) and validation is not None, alone),
    )
    n = validation if is_share(search.metric) else None
    return Section(text, {"comparison": draw_comparison(search, drawn, repeated, theirs, n)})


def _table(
    search: Search,
    shown: Sequence[Group],
    best: Group,
    against: Mapping[tuple[str, ...], float],
    theirs: Column | None,
    repeated: bool,
    middle: bool,
) -> str:
    lost = any(len(g.trials) < len(g.tried) for g in shown)
    rows = []
    for g in shown:
        scored = bool(g.trials)
        p = against.get(g.values)
        verdict = "not tested" if p is None else "indistinguishable" if p >= LEVEL else "worse"
        rows.append(
            (
                *map(format_value, g.values),
                f"{len(g.tried):,}" if lost else "",
                f"{len(g.trials):,}",
                f"{g.best.number}" if scored else "",
                format_score(g.best.metrics["score"], search.metric) if scored else "",
                format_interval(mean_interval(g.scores), search.metric)
                if scored and repeated
                else "",
                format_interval(interquartile_mean(g.scores), search.metric)
                if scored and middle
                else "",
                theirs.text(g) if theirs else "",
                "best" if g is best else verdict if scored else "",
            )
        )
    header = (
        *search.compare,
        "trials",
        "complete",
        "best trial",
        f"its {search.metric}",
        "mean over seeds (95 %)",
        "interquartile mean (95 %)",
        f"published ({theirs.name})" if theirs else "",
        "against the best",
    )
    align = "l" * len(search.compare) + "rrrrrrrl"
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), align)))


def _against_best(best: Group, every: Sequence[Pair]) -> dict[tuple[str, ...], float]:
    # Fewer tests than all pairs, so they are corrected apart.
    found = {}
    for pair in every:
        if best in (pair.first, pair.second):
            other = pair.second if pair.first is best else pair.first
            found[other.values] = pair.alone
    return dict(zip(found, adjust_p_values(list(found.values())), strict=True)) if found else {}


def _more_found(
    best: Group, every: Sequence[Pair], against: Mapping[tuple[str, ...], float]
) -> str | None:
    among_all = sum(pair.differs for pair in every if best in (pair.first, pair.second))
    alone = sum(p < LEVEL for p in against.values())
    if alone <= among_all:
        return None
    return (
        f"The table's last column asks less, only who is worse than the best row, and so has "
        f"fewer tests to correct for: by it {format_count(alone, 'row')} "
        f"{'is' if alone == 1 else 'are'} worse."
    )


def _hits(tracker: Tracker, search: Search, order: Sequence[Group]) -> dict[int, Array]:
    """Which validation examples the best trials of the first groups get right."""
    examples = read_examples(tracker, search, "validation")
    if examples is None or not is_share(search.metric):
        return {}
    found = read_predictions(tracker, search, [g.best for g in order[:TESTED]], examples)
    return {
        run.number: find_correct(output, examples.targets)
        for run, output in zip(found.runs, found.outputs, strict=True)
    }


def _single_runs(search: Search, order: Sequence[Group]) -> str | None:
    luckiest = rank_by(order, lambda g: g.best.metrics["score"], search.mode)[0]
    if luckiest is order[0]:
        return None
    score = format_score(luckiest.best.metrics["score"], search.metric)
    return (
        f"The best single run, trial {luckiest.best.number} with {score}, is one of "
        f"{name_group(search, luckiest)}, not of the row with the best mean: a single seed may be "
        "lucky, so it does not decide between rows."
    )


def _explained(
    search: Search, found: Sequence[Group], repeated: bool, middle: bool, tests: int
) -> str:
    names = ", ".join(f"`{name}`" for name in search.compare)
    where = " on validation" if search.metric.startswith("validation") else ""
    text = f"One row per value of {names}; scores{where} of complete trials. "
    if repeated:
        more = len(search.trials) - len(find_enqueued(search))
        if len(search.trials) > sum(len(g.tried) for g in found) > 0 and more > 0:
            text += (
                f"{format_count(more, 'further trial')}, which the sampler added to the planned "
                f"ones, {'is' if more == 1 else 'are'} in no row. "
            )
        if inside := find_nuisances(found, search.compare):
            listed = join_words([f"`{name}`" for name in inside])
            text += (
                f"The runs of a row differ in {listed} too, as the sampler chose, so that a mean "
                "is over these as well. "
            )
        if not tests:
            return text + (
                "Means are over seeds. The best row cannot be tested against the others: that "
                "takes two complete runs of both."
            )
        text += (
            "Every row was repeated over seeds, and rows are compared by the means (Welch's "
            "t-test against the best row"
        )
    else:
        text += (
            "A row shows the best over all other hyperparameters, which flatters rows with more "
            "trials. "
        )
        drawn = find_differing([g.best for g in found if g.trials], search.compare)
        if drawn and any(len(g.trials) == 1 for g in found):
            listed = join_words([f"`{name}`" for name in drawn])
            text += (
                f"A row of one trial is one draw of {listed}, so that a difference may be due to "
                "these instead. "
            )
        if not tests:
            return text + (
                "Whether rows differ by more than chance cannot be said: there are neither "
                "repeated seeds nor validation predictions of classes for their best trials."
            )
        text += "The best trials are compared on the same validation examples (McNemar, mid-p"
    text += (
        f", Holm-corrected for {format_count(tests, 'comparison')}): a row is *indistinguishable*"
    )
    text += f" from the best where p ≥ {LEVEL:g}."
    if not repeated:
        text += " Seeds are not repeated, so that the luck of a training run is not in this test."
    elif middle:
        text += (
            " An interquartile mean leaves out the best and the worst quarter of the seeds "
            "(rounded down, of three none; Agarwal et al., 2021); its bootstrap interval is too "
            "narrow where seeds are few."
        )
    return text


def _beside(search: Search, theirs: Column, validation: int | None) -> str:
    examples = f" of {format_count(validation, 'example')}" if validation else ""
    reports = search.tags.get("reports", "")
    length = f" of at most {format_count(int(reports), 'report')}" if reports.isdigit() else ""
    ours = to_words(search.metric)
    other = (
        f" **A {theirs.name} beside a {ours}**: no test set was opened for the rows."
        if theirs.name != ours
        else ""
    )
    return (
        f"*Published* is the {theirs.name} that others report, on their data and at their budget. "
        f"Ours is the {ours}{examples}, of trials{length}, each at its best report, which "
        f"flatters it.{other} Orders compare better than heights."
    )


def _legend(repeated: bool, theirs: Column | None, interval: bool, alone: bool) -> str:
    if repeated:
        text = "Marks are means over seeds with 95 % intervals (Student's t), dots single seeds"
    else:
        text = "Marks are the best trials of their rows"
        text += " with 95 % intervals (Wilson)" if interval else ""
        text += ", dots the others"
    if theirs:
        text += f"; hollow diamonds are published numbers ({theirs.name}), ours are on validation"
    if alone:
        text += "; where these stand alone, no trial of the row is complete"
    return text + ". An arrow marks an interval that goes on beyond the frame."
