"""Why trials failed: a sentence for the summary, and the appendix."""

import re
from collections import defaultdict
from pathlib import PurePath

from reports.records import Search, TrialRecord
from reports.write.safe import escape_markdown, format_block, format_code
from reports.write.tables import format_count, join_words

ERRORS_SHOWN = 5  # errors in the appendix
ERROR_LINES = 12  # of a traceback
OUTPUT_LINES = 8  # of what a trial has printed; its run has all of it as `output.txt`
LONGEST = 300  # characters of an error in a sentence
FRAME = re.compile(r'\s*File "(.+)", line (\d+)')


def describe_most_common(search: Search) -> str:
    """Return the most common error of the failed trials and its place, in one sentence."""
    kinds = _group_failures(search)
    if not kinds:
        return ""
    (last, at), trials = kinds[0]
    failed = sum(len(same) for _, same in kinds)
    who = f"All {failed}" if failed == len(search.trials) > 1 else f"{failed}"
    others = f", {len(trials)} of them" if len(trials) < failed else ""
    return (
        f"**{who} {'trial' if failed == 1 else 'trials'} failed**{others} with "
        f"{escape_markdown(last[:LONGEST])}{f' (at {format_code(at)})' if at else ''}."
    )


def write_section(search: Search) -> str | None:
    """Return the most common errors, each with one traceback; None without failures."""
    kinds = _group_failures(search)
    if not kinds:
        return None
    parts = []
    for (last, at), trials in kinds[:ERRORS_SHOWN]:
        numbers = join_words([str(trial.number) for trial in trials[:10]])
        more = f" and {len(trials) - 10} more" if len(trials) > 10 else ""
        place = f" at {format_code(at)}" if at else ""
        parts.append(f"{format_count(len(trials), 'trial')} ({numbers}{more}){place}:")
        tail = (trials[0].error or last).strip().splitlines()[-ERROR_LINES:]
        parts.append(format_block("\n".join(tail), "text"))
        if output := trials[0].tags.get("output", "").splitlines()[-OUTPUT_LINES:]:
            parts.append(f"The last lines of the output of trial {trials[0].number}:")
            parts.append(format_block("\n".join(output), "text"))
    if len(kinds) > ERRORS_SHOWN:
        parts.append(f"{len(kinds) - ERRORS_SHOWN} less common errors are not shown.")
    return "\n\n".join(parts)


def _group_failures(search: Search) -> list[tuple[tuple[str, str], list[TrialRecord]]]:
    # By the first line of the error and the last frame of its traceback, most common first.
    kinds: dict[tuple[str, str], list[TrialRecord]] = defaultdict(list)
    for trial in search.trials:
        if trial.outcome == "failed":
            lines = (trial.error or trial.reason or "").strip().splitlines()
            kinds[_find_error(lines), _find_place(lines)].append(trial)
    return sorted(kinds.items(), key=lambda kind: -len(kind[1]))


def _find_error(lines: list[str]) -> str:
    # It follows the frames, which are indented; further lines of a message may say what to do.
    frames = [number for number, line in enumerate(lines) if FRAME.match(line)]
    behind = lines[frames[-1] + 1 :] if frames else lines
    found = [line for line in behind if line.strip() and not line[0].isspace()]
    return found[0].strip() if found else "no reason recorded"


def _find_place(lines: list[str]) -> str:
    found = [match for line in lines if (match := FRAME.match(line))]
    return f"{PurePath(found[-1][1]).name}:{found[-1][2]}" if found else ""
