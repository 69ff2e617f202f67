"""The model card of an export: what the model is, how good it is known to be, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.storage.redaction import redact
from reports.records import Search, TrialRecord


def write_card(
    search: Search,
    members: Sequence[tuple[TrialRecord, float]],
    sizes: Mapping[str, int],
    test: str,
    classes: Sequence[str],
) -> str:
    """Write a model card in markdown; `test` is the sentence on the sealed test set."""
    tags = search.tags
    kind = "an average of" if len(members) > 1 else ""
    title = f"# {search.space}: {kind} {len(members)} trained model{'s' * (len(members) > 1)}"
    parameters = sum(trial.metrics.get("parameters", 0.0) for trial, _ in members)
    rows = [
        f"| {trial.name} | {weight:.3f} | {trial.metrics.get('score', float('nan')):.4f} | "
        f"{trial.metrics.get('parameters', 0):,.0f} |"
        for trial, weight in members
    ]
    data = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    return "\n".join(
        [
            " ".join(title.split()),
            "",
            *(["**Trained on SYNTHETIC DATA.**", ""] if search.is_synthetic else []),
            f"Made for the question: {tags.get('question') or 'not stated'}",
            "",
            f"| member | weight | {search.metric} | parameters |",
            "| :--- | ---: | ---: | ---: |",
            *rows,
            "",
            f"Together {parameters:,.0f} parameters, {len(members)} forward passes per input.",
            "",
            "## How good it is",
            "",
            test,
            f"Validation scores ({search.metric}) chose it, and being the best of "
            f"{len(search.trials)} they are flattered.",
            "",
            "## Data",
            "",
            f"Examples the search kept apart: {data or 'not stored'}. Fingerprint of the data: "
            f"`{tags.get('data_fingerprint', 'not known')}`.",
            f"Classes: {', '.join(classes)}." if classes else "It answers with texts of its own.",
            "",
            "## Limits",
            "",
            "Nothing is known of inputs unlike these data: other sources, other preprocessing. "
            + (
                "It always answers with one of its classes. Its confidence is a probability only "
                "as far as its calibration was measured."
                if classes
                else "It always answers, and does not say how sure it is."
            ),
            "",
            "## To make it again",
            "",
            "```sh",
            redact(tags.get("command", "not known")),
            "```",
            "",
            "Versions: " + _versions(search.versions) + f"; seed {tags.get('seed', 'not known')}.",
            "",
        ]
    )


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "not known"
