"""What to do next: commands to copy, the winner's configuration, and the key facts in a table."""

import json
import re
import shlex
from collections.abc import Iterable, Sequence

from cluster.storage.redaction import redact
from cluster.tracking.pages import LOCAL_SERVER, format_experiment_page
from reports.chapters.outcomes.chapter import OUTCOMES, sum_device_seconds
from reports.chapters.outcomes.timeline import Span, read_spans
from reports.read.opened_test import OpenedTest
from reports.read.winner import Choice
from reports.records import Search
from reports.write.safe import format_block, format_code
from reports.write.sections import join_paragraphs
from reports.write.tables import Table, format_score, join_words, to_markdown
from trainables.durations import format_duration
from trainables.invocation import format_command

TRAINING = ("--data-dir", "--weights-dir", "--data", "--teacher", "--trust-code")
"""Options of a search that training its winner again needs as well."""
KEPT = ("--storage", "--tracking-uri", "--executor", *TRAINING)
"""Options of a search that confirming it needs as well."""
FLAGS = ("--trust-code",)
"""Those of them without a value."""


def write_next_steps(search: Search, choice: Choice | None) -> str:
    """Return the commands to run next, and the winner's configuration as JSON."""
    steps = []
    if search.unfinished:
        steps.append(f"The search is unfinished: {search.unfinished}.")
    if choice is not None and not choice.is_confirmed and _has_command(search):
        command = _format_command(search, "tune", KEPT, ["--confirm", "3", "--seeds", "5"])
        steps.append(_join("Repeat the best trials and the default on new seeds:", command))
    if choice is not None:
        steps.append(_write_retraining(search, choice))
    steps.append(_write_browsing(search))
    return join_paragraphs(*steps)


def write_key_facts(search: Search, choice: Choice | None, test: OpenedTest) -> str:
    """Return what ran, how long, and what came out of it, as a table."""
    rows: list[tuple[str, str]] = []
    if choice is not None:
        score = choice.model.metrics["score"]
        rows.append(("winner", choice.model.title))
        rows.append((f"its best {search.metric}", format_score(score, search.metric)))
    if test.accuracy is not None:
        accuracy = test.confirmed or test.accuracy
        rows.append(("its test accuracy", f"{accuracy.value * 100:.2f} %"))
    if (default := search.default) is not None and "score" in default.metrics:
        score = default.metrics["score"]
        rows.append((f"default's best {search.metric}", format_score(score, search.metric)))
    counts = [(sum(t.outcome == word for t in search.trials), word) for word in OUTCOMES]
    kinds = join_words([f"{n:,} {word}" for n, word in counts if n])
    rows.append(("trials", f"{len(search.trials):,}: {kinds}" if kinds else "none"))
    rows.append(("device time", format_duration(sum_device_seconds(search.trials))))
    if spans := read_spans(search)[0]:
        rows.append(("wall time", format_duration(measure_wall_time(spans))))
    return to_markdown(Table(("fact", "value"), tuple(rows), "ll"))


def measure_wall_time(spans: Iterable[Span]) -> float:
    """Return the seconds in which a trial was running; pauses between sessions do not count."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda span: span.start):
        total += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total


def _format_overrides(search: Search, choice: Choice) -> list[str]:
    """Return the `--set` options that give the winner's configuration."""
    return [
        word for name, text in choice.model.params.items() for word in ("--set", f"{name}={text}")
    ]


def _write_retraining(search: Search, choice: Choice) -> str:
    config = {name: _parse_value(text) for name, text in choice.model.params.items()}
    about = format_code(choice.model.name)
    listed = _join(
        f"Configuration of {choice.model.title} ({about}):",
        format_block(json.dumps(config, indent=2, ensure_ascii=False), "json"),
    )
    if not _has_command(search):
        return listed
    options = _find_options(search, ["--teacher"])
    if any(value.startswith("runs:/") for value in options):
        return join_paragraphs(
            f"The winner was trained with `--teacher` {format_code(options[-1])}, a run of "
            "MLflow; `trainables.train` takes only the folder of a trained model.",
            listed,
        )
    overrides = _format_overrides(search, choice)
    reports = search.tags.get("reports", "")
    more = ["--reports", reports] if reports.isdigit() else []
    command = _format_command(search, "train", TRAINING, [*overrides, *more])
    return join_paragraphs(_join("Train the winner again:", command), listed)


def _write_browsing(search: Search) -> str:
    if search.server:
        page = format_experiment_page(search.server, search.experiment)
        return f"All runs, with their scores and files: [in MLflow](<{page}>)."
    page = format_experiment_page(LOCAL_SERVER, search.experiment)
    command = f"mlflow ui --backend-store-uri {shlex.quote(search.tracking_uri)}"
    return join_paragraphs(
        "All runs, with their scores and files, in MLflow: start its UI and open "
        f"[its page of this search](<{page}>).",
        format_block(redact(command), "sh"),
    )


def _has_command(search: Search) -> bool:
    # A space that Python code has handed over has no name on a command line.
    command = search.tags.get("command", "")
    return re.search(r"(trainables\.|\btunery )tune\b", command) is not None


def _format_command(search: Search, action: str, kept: Sequence[str], more: Sequence[str]) -> str:
    space = search.tags.get("space_file") or search.space
    words = [*format_command(action).split(), "--space", space]
    words += [*_find_options(search, kept), *more]
    return format_block(redact(shlex.join(words)), "sh")


def _find_options(search: Search, names: Sequence[str]) -> list[str]:
    try:
        words = shlex.split(search.tags.get("command", ""))
    except ValueError:  # a server has cut it
        return []
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in names:
            found += [name] if name in FLAGS else [name, value or following]
    return found


def _parse_value(text: str) -> object:
    known = {"None": None, "True": True, "False": False}
    try:
        return known[text] if text in known else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _join(title: str, block: str) -> str:
    return f"{title}\n\n{block}"
