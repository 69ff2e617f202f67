"""Division of a data set into train, validation and test, with equal examples kept together.

A group is a set of examples that belong to the same part: copies of each other, or what the user
has declared to belong together. It has a number, and an example that is left out has the number
EXCLUDED.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainables.errors import UserError

TEST = 0.1  # fraction of data without a test set
REPEATED = 0.1  # fraction of equal examples from which they are no copies
PARTS = ("train", "validation", "test")
EXCLUDED = -1
SHOWN = 5  # names in a message
NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "validation", "valid": "validation", "validation": "validation"},
    **{"test": "test", "testing": "test"},
}  # of folders and files, in lower case: the part that they hold


@dataclass(frozen=True)
class Example:
    """What decides about the part of an example.

    Examples with the same `digest` have the same content. `group` is what the user declared.
    """

    name: str
    label: int
    digest: Hashable
    group: str = ""


def split_stratified(
    labels: np.ndarray, fraction: float, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a fraction of every class; return the other rows and the drawn rows, ascending.

    A group is drawn as a whole, and counts as of the class of its first row. A class of two or
    more groups is in both results, a class of one group in the first only. Without `groups`,
    every row is a group.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the validation fraction is {fraction}; it must lie between 0 and 1")
    generator = np.random.default_rng(seed)
    groups = np.arange(len(labels)) if groups is None else groups
    _, first, member, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    is_drawn = np.zeros(len(first), dtype=bool)
    for label in np.unique(labels[first]):
        # In the order of their first rows, so that rows without groups are drawn as ever.
        own = np.flatnonzero(labels[first] == label)
        own = generator.permutation(own[np.argsort(first[own], kind="stable")])
        free = max(1, round(fraction * int(sizes[own].sum())))
        chosen = []
        for group in own:
            if sizes[group] <= free:
                chosen.append(group)
                free -= int(sizes[group])
        chosen = chosen or [own[np.argmin(sizes[own])]]
        is_drawn[chosen[: len(own) - 1]] = True
    drawn = is_drawn[member.reshape(-1)]
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)


def group_examples(
    source: str, parts: Mapping[str, Sequence[Example]]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the group of every example of every part, and lines that tell about copies.

    A copy in train of an example of validation or test is excluded; these two stay as they are.
    Raises UserError where a declared group is in two parts.
    """
    examples = [example for part in parts.values() for example in part]
    groups = _join([[(0, example.digest), (1, example.group)] for example in examples])
    ends = np.cumsum([len(part) for part in parts.values()])
    by_part = dict(zip(parts, np.split(groups, ends[:-1]), strict=True))
    _check_groups(source, parts)
    lines = _describe_copies(examples)
    digests = {part: {example.digest for example in found} for part, found in parts.items()}
    held_out = digests.get("validation", set()) | digests.get("test", set())
    is_copy = np.array([example.digest in held_out for example in parts["train"]], dtype=bool)
    by_part["train"] = np.where(is_copy, EXCLUDED, by_part["train"])
    if count := int(is_copy.sum()):
        lines.append(f"left out of train: {count:,} that are in validation or test, too")
    if both := len(digests.get("validation", set()) & digests.get("test", set())):
        lines.append(f"WARNING: {both:,} are in validation and in test")
    if names := sorted({example.group for example in examples} - {""}):
        lines.append(f"groups: {len(names):,}, each in one part")
    return by_part, lines


def tell_apart(
    examples: Mapping[str, Sequence[Example]],
) -> tuple[dict[str, list[Example]], list[str]]:
    """Return the rows of a table, each of its own content where equal rows are common.

    Few equal rows are copies. Many, as in a table of a few categories, are different examples.
    """
    digests = [example.digest for of in examples.values() for example in of]
    count = len(digests) - len(set(digests))
    if count < REPEATED * len(digests):
        return {part: list(of) for part, of in examples.items()}, []
    apart = {part: [replace(one, digest=one.name) for one in of] for part, of in examples.items()}
    line = f"equal rows: {count:,} of {len(digests):,}, too many to be copies; all are kept"
    return apart, [line]


def describe_class_sizes(
    source: str,
    classes: Sequence[str],
    parts: Mapping[str, Sequence[Example]],
    groups: Mapping[str, np.ndarray],
    advice: Sequence[str],
    *,
    allow_empty: bool = False,
) -> str:
    """Return what is wrong if there is one class only, or a class has too few examples in train.

    That is empty otherwise. A class needs a group in train and another one for each part that is
    drawn from train. With `allow_empty`, a class may have no example in any part.
    """
    missing = [part for part in PARTS if part not in parts]
    needed = 1 + len(missing)
    kept = [(g, e.label) for g, e in zip(groups["train"], parts["train"], strict=True) if g >= 0]
    counts = np.bincount([label for _, label in set(kept)], minlength=len(classes))
    rows = np.bincount([label for _, label in kept], minlength=len(classes))
    used = {example.label for part in parts.values() for example in part}
    few = [i for i in range(len(classes)) if counts[i] < needed and (i in used or not allow_empty)]
    if len(classes) >= 2 and not few:
        return ""
    lines = [
        f"{source}: {len(classes)} class{'' if len(classes) == 1 else 'es'}"
        f"{' (' + classes[0] + ')' if len(classes) == 1 else ''}, at least 2 are needed"
    ]
    if few:
        wanted = " and ".join(["train", *missing])
        lines = [
            f"{source}: classes with fewer than {needed} different examples in train"
            + (f" (one each for {wanted})" if missing else "")
        ]
        lines += [
            f"  {classes[i]}: {counts[i]}"
            + (f" (in {rows[i]}, with copies or groups)" if rows[i] > counts[i] else "")
            for i in few[:10]
        ]
        lines += [f"  and {len(few) - 10} more"] if len(few) > 10 else []
    return "\n".join([*lines, *advice])


def check_known_classes(
    source: str, trained: Sequence[str], others: Mapping[str, Sequence[str]]
) -> None:
    """Raise UserError if a part has a class that train does not have."""
    for part, classes in others.items():
        if unknown := [name for name in classes if name not in set(trained)]:
            raise UserError(
                f"{source}: {part} has classes that train does not have: {list_names(unknown)}\n"
                f"train has {list_names(trained)}\nuse the same names in every part"
            )


def list_names(names: Sequence[str], shown: int = 10) -> str:
    """Return the first names, separated by commas, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _join(keys: Sequence[Sequence[tuple[int, Hashable]]]) -> np.ndarray:
    """Number the groups of examples that share a key, directly or through others."""
    parents = list(range(len(keys)))

    def find(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[tuple[int, Hashable], int] = {}
    for row, own in enumerate(keys):
        for key in own:
            if key[1] == "":
                continue
            one, other = find(first.setdefault(key, row)), find(row)
            parents[max(one, other)] = min(one, other)
    return np.array([find(row) for row in range(len(keys))], dtype=np.int64)


def _check_groups(source: str, parts: Mapping[str, Sequence[Example]]) -> None:
    places: dict[str, set[str]] = {}
    for part, examples in parts.items():
        for example in examples:
            places.setdefault(example.group, set()).add(part)
    places.pop("", None)
    if shared := [group for group, found in places.items() if len(found) > 1]:
        raise UserError(
            f"{source}: {len(shared):,} groups are in more than one part: "
            f"{list_names(sorted(shared), SHOWN)}\n"
            "move the examples of each group into one part, or leave the parts out: they are "
            "then drawn by groups"
        )


def _describe_copies(examples: Sequence[Example]) -> list[str]:
    by_digest: dict[Hashable, list[Example]] = {}
    for example in examples:
        by_digest.setdefault(example.digest, []).append(example)
    copied = [equal for equal in by_digest.values() if len(equal) > 1]
    if not copied:
        return []
    count = sum(len(equal) - 1 for equal in copied)
    lines = [f"copies: {count:,} of {len(copied):,} examples; they stay in one part"]
    mixed = [equal for equal in copied if len({example.label for example in equal}) > 1]
    if mixed:
        pairs = [" = ".join(example.name for example in equal[:2]) for equal in mixed[:SHOWN]]
        lines.append(f"WARNING: equal but of different classes: {len(mixed):,} ({pairs[0]}, ...)")
    return lines
