"""Write the model card of an export: what the model is, its scores, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.storage.redaction import redact
from reports.records import Search, TrialRecord
from reports.write.safe import escape_markdown, format_block, format_code
from reports.write.tables import Table, to_markdown


def write_card(
    search: Search,
    members: Sequence[tuple[TrialRecord, float]],
    sizes: Mapping[str, int],
    test: str,
    classes: Sequence[str],
) -> str:
    """Return a model card in markdown.

    `members` are trials with their weights, `sizes` examples per split, `test` a sentence on the
    test accuracy.
    """
    tags = search.tags
    kind = "an average of" if len(members) > 1 else ""
    name = escape_markdown(search.space)
    title = f"# {name}: {kind} {len(members)} trained model{'s' * (len(members) > 1)}"
    parameters = sum(trial.metrics.get("parameters", 0.0) for trial, _ in members)
    rows = tuple(
        (
            trial.name,
            f"{weight:.3f}",
            f"{trial.metrics.get('score', float('nan')):.4f}",
            f"{trial.metrics['parameters']:,.0f}" if "parameters" in trial.metrics else "",
        )
        for trial, weight in members
    )
    header = ("member", "weight", search.metric, "parameters")
    total = f"{parameters:,.0f} parameters, " if parameters else ""
    data = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    return "\n".join(
        [
            " ".join(title.split()),
            "",
            *(["**Trained on SYNTHETIC DATA.**", ""] if search.is_synthetic else []),
            f"Question of the search: {escape_markdown(tags.get('question') or 'not stated')}",
            "",
            to_markdown(Table(header, rows, "lrrr")),
            "",
            f"In total {total}{len(members)} forward passes per input.",
            "",
            "## Scores",
            "",
            test,
            f"It was chosen by validation scores ({format_code(search.metric)}). As the best of "
            f"{len(search.trials)} trials, these are optimistically biased.",
            "",
            "## Data",
            "",
            f"Held-out examples: {data or 'not stored'}. Fingerprint of the data: "
            f"{format_code(tags.get('data_fingerprint', 'not known'))}.",
            f"Classes: {', '.join(map(escape_markdown, classes))}."
            if classes
            else "Its outputs are answers, not class probabilities.",
            "",
            "## Limits",
            "",
            "It was not evaluated on data from other sources or with other preprocessing. "
            + (
                "It always predicts one of its classes. Its confidence is a probability only as "
                "far as its calibration was measured."
                if classes
                else "It always gives an answer, without a confidence."
            ),
            "",
            "## How to reproduce it",
            "",
            format_block(redact(tags.get("command", "not known")), "sh"),
            "",
            "Versions: " + _versions(search.versions) + f"; seed {tags.get('seed', 'not known')}.",
            "",
        ]
    )


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "not known"
