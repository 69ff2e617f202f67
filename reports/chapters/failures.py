"""Why trials failed: the appendix."""

from collections import defaultdict

from reports.search import Search, TrialRecord
from reports.write.tables import count_text, joined

ERRORS_SHOWN = 5  # kinds of failure in the appendix
ERROR_LINES = 12  # of a traceback


def failures(search: Search) -> str | None:
    """Why trials failed: the commonest last lines, each with one traceback."""
    failed = [trial for trial in search.trials if trial.outcome == "failed"]
    if not failed:
        return None
    kinds: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in failed:
        lines = (trial.error or trial.reason or "no reason on record").strip().splitlines()
        kinds[lines[-1].strip() if lines else "no reason on record"].append(trial)
    parts = []
    for last, trials in sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:ERRORS_SHOWN]:
        numbers = joined([str(trial.number) for trial in trials[:10]])
        more = f" and {len(trials) - 10} more" if len(trials) > 10 else ""
        parts.append(f"{count_text(len(trials), 'trial')} ({numbers}{more}):")
        tail = (trials[0].error or last).strip().splitlines()[-ERROR_LINES:]
        fence = "`" * max(3, max(_ticks(line) for line in tail) + 1)
        parts.append("\n".join([f"{fence}text", *tail, fence]))
    if len(kinds) > ERRORS_SHOWN:
        parts.append(f"{len(kinds) - ERRORS_SHOWN} rarer kinds are left out.")
    return "\n\n".join(parts)


def _ticks(line: str) -> int:
    return max(map(len, "".join(c if c == "`" else " " for c in line).split()), default=0)
