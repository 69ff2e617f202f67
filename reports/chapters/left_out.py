"""Which chapters a report leaves out, and what each of them needs."""

from collections.abc import Sequence

NEEDS = {
    "Ensembles": "two candidates with stored validation predictions",
    "Comparison": "two settings of the compared hyperparameters that have a score",
    "Published results": "published numbers that the space names, besides those compared above",
    "Results per class": "stored class predictions of the winner",
    "Results per part of the data": "data with named parts, and stored predictions of the winner",
    "Outputs of the winner": "pictures or texts that the winner has stored",
    "Training curves": "a trial with two reports",
    "Hyperparameters": "a searched hyperparameter",
    "Hyperparameter importance": "two hyperparameters, and enough trials at an equal budget",
    "Parallel coordinates": "two searched hyperparameters and two scores",
    "Search budget": "two scores of trials that the sampler has drawn, without arms",
    "Model size": "candidates with different numbers of parameters",
    "Check of early stopping": "a scheduler with rungs, and trials that have reached them",
    "Timeline": "recorded times of trials",
    "Use of the test set": "a winner and a test set",
    "Appendix: failures": "a failed trial",
}


def write_left_out(headings: Sequence[str]) -> str | None:
    """Return the chapters with these headings and what they need; None without any."""
    lines = [f"- {heading}: needs {NEEDS[heading]}." for heading in headings if heading in NEEDS]
    return "\n".join(lines) or None
