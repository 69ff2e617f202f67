"""Compare the documents with the code: paths, links, options, suites and drawings."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from dataclasses import fields
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.cli import build_parser as tune_parser
from searchspaces.catalog import list_names
from searchspaces.train_options import build_parser as train_parser
from tests.support.imports import IMPORTS, MODULES, within
from tests.support.paths import ROOT
from trainables.run import Run

FOLDERS = ("cluster", "reports", "searchspaces", "tests", "trainables")
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))]
)
DRAWN = (
    "cluster/README.md",
    "reports/README.md",
    "searchspaces/README.md",
    "trainables/README.md",
    "trainables/command/README.md",
)
CI = ROOT / ".ci" / "run"


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def test_every_folder_has_its_document() -> None:
    assert {f"{folder}/README.md" for folder in FOLDERS} <= set(DOCUMENTS)
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= set(DOCUMENTS)
    assert "the Tunery authors" in read("LICENSE")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", read(document)):
        assert (ROOT / document).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_the_text_exist(document: str) -> None:
    if document == "CHANGELOG.md":
        pytest.skip("it tells of files that are gone")
    folders = "|".join(FOLDERS)
    named = re.findall(rf"`((?:{folders})/[\w./*-]*)(?:::\w+)?`", read(document))
    examples = [path for path in named if "NAME" in path]
    missing = [p for p in named if p not in examples and not list(ROOT.glob(p.rstrip("/")))]
    assert not missing, missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_tests_that_are_named_exist(document: str) -> None:
    for path, name in re.findall(r"`(tests/[\w./-]+)::(\w+)`", read(document)):
        assert re.search(rf"^def {name}\(", read(path), re.M), f"{path}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_the_text_exist(document: str) -> None:
    text = read(document)
    for name, path in re.findall(r"`(\w+)` (?:in|of) `([\w/.]+\.py)`", text):
        assert re.search(rf"\b{name}\b", read(path)), f"{name} of {path}"
    members = {*dir(Run), *(field.name for field in fields(Run))}
    if document != "CHANGELOG.md":
        assert set(re.findall(r"(?<!/)\b[rR]un\.([a-z_]+)", text)) <= members


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_have_their_options(document: str) -> None:
    parsers = {"trainables.tune": tune_parser, "trainables.train": train_parser}
    for line in re.findall(r"^(?:pip install \S+ && )?(python -m .*)$", read(document), re.M):
        words = shlex.split(line, comments=True)
        assert importlib.util.find_spec(words[2]), line
        if words[2] not in parsers:
            continue
        options = parsers[words[2]]().parse_args(words[3:])
        if options.space and not options.space.endswith(".py"):
            assert options.space in list_names(), line


def test_ci_runs_the_commands_of_the_documents() -> None:
    """Ask the script itself which commands it reads out of README.md and CONTRIBUTING.md."""
    done = subprocess.run(
        [CI, "--list"], capture_output=True, text=True, check=True, cwd=ROOT, timeout=20
    )
    listed = done.stdout.splitlines()
    assert listed[0] == "pip install -e '.[dev]' && pytest -n 2"
    checks = re.search(r"^## Checks$(.*?)^## ", read("CONTRIBUTING.md"), re.M | re.S)
    assert checks is not None
    blocks = re.findall(r"```sh\n(.*?)```", checks[1], re.S)
    assert listed[1:] == [line for block in blocks for line in block.splitlines()]
    suites = {"slow", "fault", "lab"}
    assert suites <= {word for line in listed for word in line.split()}


def drawn_arrows(document: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the boxes of a document's first drawing, by id, and whom each has an arrow to.

    A box is `id[package.or.module]`; further names follow after `<br/>`. `package.*` is what
    no other box names of a package.
    """
    found = re.search(r"```mermaid\n(.*?)```", read(document), re.S)
    assert found is not None, document
    boxes = dict(re.findall(r'(\w+)\["?([\w.*<>/ ]+)"?\]', found[1]))
    arrows: dict[str, set[str]] = {box: set() for box in boxes}
    for line in found[1].splitlines():
        ids = re.split(r"\s*-->\s*", re.sub(r"\[.*?\]", "", line.strip()))
        for tails, heads in pairwise(ids):
            for tail in re.split(r"\s*&\s*", tails):
                arrows[tail] |= set(re.split(r"\s*&\s*", heads))
    return boxes, arrows


@pytest.mark.parametrize("document", DRAWN)
def test_imports_follow_the_drawing(document: str) -> None:
    """An import between two boxes goes along the arrows, each arrow is an import: no circles."""
    boxes, arrows = drawn_arrows(document)
    names = {name: box for box, text in boxes.items() for name in text.split("<br/>")}
    below: dict[str, set[str]] = {}
    for box in TopologicalSorter(arrows).static_order():
        below[box] = arrows[box].union(*(below[other] for other in arrows[box]))

    def box_of(module: str) -> str | None:
        fitting = [name for name in names if within(module, name.removesuffix(".*"))]
        return names[max(fitting, key=len)] if fitting else None

    unknown = [n for n in names if not any(within(m, n.removesuffix(".*")) for m in MODULES)]
    assert not unknown, unknown
    found = {(box_of(i.by), box_of(i.what)): f"{i.by} imports {i.what}" for i in IMPORTS}
    between = {(a, b): what for (a, b), what in found.items() if a and b and a != b}
    wrong = [what for (by, to), what in between.items() if to not in below[str(by)]]
    assert not wrong, "\n".join(wrong)
    drawn = {(by, to) for by, heads in arrows.items() for to in heads}
    unused = sorted(drawn - between.keys())
    assert not unused, unused


def test_nothing_in_a_package_is_left_out_of_its_drawing() -> None:
    for document in DRAWN:
        boxes, _ = drawn_arrows(document)
        names = [name for text in boxes.values() for name in text.split("<br/>")]
        package = Path(document).parent.name
        inside = [m for m in MODULES if within(m, package) and m != package]
        left = [m for m in inside if not any(within(m, n.removesuffix(".*")) for n in names)]
        assert not left, f"{document}: {left}"
