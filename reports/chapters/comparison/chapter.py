"""Answer to the question of the space: the compared hyperparameters, by their best trials."""

from collections.abc import Mapping, Sequence

from reports.chapters.comparison import pairs
from reports.chapters.comparison.chart import make_chart
from reports.chapters.comparison.figure import draw_comparison
from reports.chapters.comparison.groups import (
    Group,
    differ_in_compared_only,
    find_enqueued,
    find_nuisances,
    group_trials,
    is_repeated,
    name_group,
)
from reports.chapters.comparison.orders import describe_orders
from reports.chapters.comparison.pairs import Pair
from reports.chapters.comparison.published import Column, describe_ranking, find_column
from reports.numbers.means import LEVEL
from reports.numbers.paired import Array
from reports.numbers.statistics import rank_by
from reports.read.predictions import find_correct, read_examples, read_predictions
from reports.read.records import Tracker
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.safe import escape_markdown, format_code
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import to_words
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_count,
    format_score,
    format_value,
    is_proportion,
    join_words,
    to_markdown,
)

TESTED = 20  # groups compared by their predictions, which are one file each
SHOWN = 40  # groups in the table
DRAWN = 40  # groups in the figure
NAMED = 12  # hyperparameters in a sentence


def write_section(
    tracker: Tracker, search: Search, validation: int | None = None
) -> Section | None:
    """Return table, tests and figure; None if no compared hyperparameter varies.

    `validation` is the number of validation examples, for the intervals of shares.
    """
    groups = group_trials(search)
    if len(groups) < 2:
        return None
    repeated = is_repeated(groups)
    # Ranked by what is shown: the means over seeds if there are any, else the best scores.
    score = (lambda g: g.mean) if repeated else (lambda g: g.best.metrics["score"])
    order = rank_by([g for g in groups if g.trials], score, search.mode)
    if not order:
        return None
    alike = not repeated and differ_in_compared_only(order, search.compare)
    hits = _read_correct(tracker, search, order) if alike else {}
    step = 1 / validation if validation and is_proportion(search.metric) else 0.0
    untested = search.unfinished or pairs.explain_untested(order[:SHOWN], step)
    if not repeated:
        every = pairs.compare_by_examples(order, hits)
    elif untested:
        every = []
    else:
        every = pairs.compare_by_seeds(order[:SHOWN], search.mode, step)
    against = _test_against_best(order[0], every)
    theirs = find_column(search, groups)
    shown = order[:SHOWN] + [g for g in groups if not g.trials][:SHOWN]
    left_out = max(0, len(order) - SHOWN)
    drawn = [g for g in shown if g.trials or (theirs and theirs.text(g))][:DRAWN]
    incomplete = any(not g.trials for g in drawn)
    text = join_paragraphs(
        _write_table(search, shown, order[0], against, theirs, repeated),
        _describe_best_run(search, order) if repeated else None,
        pairs.describe_pairs(search, every, "row" if repeated else "model"),
        pairs.describe_power(search, [g.outcomes for g in order[:SHOWN]])
        if repeated and every
        else None,
        describe_ranking(search, theirs, every) if theirs and repeated else None,
        describe_orders(search, every if repeated else []),
        _explain(search, groups, repeated, alike, untested, len(every))
        + (f" {left_out:,} further rows are not shown or tested." if left_out else ""),
        _explain_published(search, theirs, validation) if theirs else None,
        embed_figure("comparison", "Scores of the compared settings"),
        _write_legend(
            repeated, theirs, is_proportion(search.metric) and validation is not None, incomplete
        ),
    )
    n = validation if is_proportion(search.metric) else None
    shown_as = search, drawn, repeated, theirs, n
    charts = {"comparison": make_chart(*shown_as)}
    return Section(text, {"comparison": draw_comparison(*shown_as)}, charts=charts)


def _write_table(
    search: Search,
    shown: Sequence[Group],
    best: Group,
    against: Mapping[tuple[str, ...], float],
    theirs: Column | None,
    repeated: bool,
) -> str:
    lost = any(len(g.trials) < len(g.tried) for g in shown)
    rows = []
    for g in shown:
        scored = bool(g.trials)
        p = against.get(g.values)
        verdict = "not tested"
        if p is not None:
            worse = "significantly worse" if repeated else "a significantly worse model"
            verdict = worse if p < LEVEL else "no significant difference"
        rows.append(
            (
                *map(format_value, g.values),
                f"{len(g.tried):,}" if lost else "",
                f"{len(g.trials):,}",
                f"{g.best.number}" if scored else "",
                format_score(g.best.metrics["score"], search.metric) if scored else "",
                format_interval(g.interval, search.metric) if scored and repeated else "",
                theirs.text(g) if theirs else "",
                "best" if g is best else verdict if scored else "",
            )
        )
    header = (
        *search.compare,
        "trials",
        "complete",
        "best trial",
        f"best {search.metric}",
        "mean over seeds (95 %)",
        f"published ({theirs.name})" if theirs else "",
        "compared with the best",
    )
    align = "l" * len(search.compare) + "rrrrrrl"
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), align)))


def _test_against_best(best: Group, every: Sequence[Pair]) -> dict[tuple[str, ...], float]:
    # Corrected for all pairs: the best row was selected by the same scores.
    return {
        (pair.second if pair.first is best else pair.first).values: pair.p
        for pair in every
        if best in (pair.first, pair.second)
    }


def _read_correct(tracker: Tracker, search: Search, order: Sequence[Group]) -> dict[int, Array]:
    """Return which validation examples the best trials of the first groups predict correctly."""
    examples = read_examples(tracker, search, "validation")
    if examples is None or not is_proportion(search.metric):
        return {}
    found = read_predictions(tracker, search, [g.best for g in order[:TESTED]], examples)
    return {
        run.number: find_correct(output, examples.targets)
        for run, output in zip(found.runs, found.outputs, strict=True)
    }


def _describe_best_run(search: Search, order: Sequence[Group]) -> str | None:
    best = rank_by(order, lambda g: g.best.metrics["score"], search.mode)[0]
    if best is order[0]:
        return None
    score = format_score(best.best.metrics["score"], search.metric)
    return (
        f"The best single run, trial {best.best.number} with {score}, belongs to "
        f"{escape_markdown(name_group(search, best))}, not to the row with the best mean. Rows "
        "are compared by their means, since the best of several seeds is optimistically biased."
    )


def _list_names(names: Sequence[str]) -> list[str]:
    more = len(names) - NAMED
    return [*map(format_code, names[:NAMED]), *([f"{more} more"] if more > 0 else [])]


def _explain(
    search: Search,
    groups: Sequence[Group],
    repeated: bool,
    alike: bool,
    untested: str | None,
    tests: int,
) -> str:
    names = ", ".join(map(format_code, search.compare))
    where = " on validation" if search.metric.startswith("validation") else ""
    text = f"One row per value of {names}; scores{where} of complete trials. "
    if repeated:
        more = len(search.trials) - len(find_enqueued(search))
        if len(search.trials) > sum(len(g.tried) for g in groups) > 0 and more > 0:
            text += (
                f"{format_count(more, 'further trial')}, added by the sampler, "
                f"{'is' if more == 1 else 'are'} in no row. "
            )
        if inside := find_nuisances(groups, search.compare):
            listed = join_words(_list_names(inside))
            text += (
                f"The sampler also varied {listed} between the runs of a row, so a mean is over "
                "these, too. "
            )
        if lost := sum(len(g.outcomes) - len(g.scores) for g in groups if g.trials):
            text += (
                f"{format_count(lost, 'run')} of these rows diverged or failed and "
                f"{'counts' if lost == 1 else 'count'} as the worst score of the search; the mean "
                "of such a row has no interval. "
            )
        if not tests:
            return text + f"Means are over seeds. The rows are not compared: {untested}."
        text += (
            "Every row was repeated over seeds, and the means are compared (Student's t, with the "
            "larger of the pair's own variance and that pooled over all rows; for more than two "
            "rows also a permutation test of all of them"
        )
    else:
        text += (
            "A row shows the best trial over all other hyperparameters, which is optimistically "
            "biased for rows with more trials. "
        )
        if not alike:
            counts = sorted({len(g.tried) for g in groups})
            each = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
            return text + (
                f"**The rows are not tested against each other**: they have had {each} "
                f"{'trial' if counts[-1] == 1 else 'trials'} each, of different hyperparameters, "
                "and the best of more trials is higher by chance. "
                f"`--compare {','.join(search.compare)} --tune-arms N` gives each as many, and "
                "compares their best on new seeds."
            )
        if not tests:
            return text + (
                "Significance cannot be tested: there are neither repeated seeds nor validation "
                "predictions of the best trials."
            )
        text += "The best trials are compared on the same validation examples (McNemar, mid-p"
    correction = "corrected in steps by Tukey and Holm" if repeated else "Holm-corrected"
    text += (
        f", {correction} for {format_count(tests, 'pair')}): *no significant difference* "
        f"from the best means p ≥ {LEVEL:g}."
    )
    if not repeated:
        text += (
            " **That is about these trained models, and not about the settings**: each row has "
            "one run, and another seed would give another model. Several seeds per row compare "
            "them."
        )
    elif search.metric.startswith("validation"):
        text += " All runs are on the same examples: others would add their own variance."
    return text


def _explain_published(search: Search, theirs: Column, validation: int | None) -> str:
    examples = f" of {format_count(validation, 'example')}" if validation else ""
    reports = search.tags.get("reports", "")
    length = f" of at most {format_count(int(reports), 'report')}" if reports.isdigit() else ""
    ours, published = escape_markdown(to_words(search.metric)), escape_markdown(theirs.name)
    other = (
        f" **A published {published} is compared with a {ours}**: the test set is not opened "
        "for the rows."
        if published != ours
        else ""
    )
    return (
        f"*Published* is the {published} on the data and with the budget of its authors. Ours "
        f"is the {ours}{examples}, of trials{length}, each at its best report and therefore "
        f"optimistically biased.{other} Absolute values are not comparable; only the order of the "
        "rows is compared."
    )


def _write_legend(repeated: bool, theirs: Column | None, interval: bool, incomplete: bool) -> str:
    if repeated:
        text = "Blue marks are means over seeds with 95 % intervals (Student's t), dots the seeds"
    else:
        text = "Blue marks are the best trials of their rows"
        text += " with 95 % intervals (Wilson)" if interval else ""
        text += ", dots the other trials"
    if theirs:
        name = escape_markdown(theirs.name)
        text += f"; hollow diamonds are published results ({name}), ours are on validation"
    if incomplete:
        text += "; a row with a diamond only has no complete trial"
    return text + ". An arrow marks an interval that ends outside the axis."
