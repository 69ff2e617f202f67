"""The architecture's import rules, read out of the source so that they cannot rot."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.imports import IMPORTS, MODULES, PACKAGES, Import, imports_of, within
from tests.support.paths import ROOT

LONGEST = 300  # lines of a source file
LONGEST_FUNCTION = 80  # lines
PATHS = re.compile(r"\.\./shared|(?<![\w.])/(work|root)\b")

# From the top down: a module imports from its own layer or from those below it.
LAYERS = (
    ("trainables.command",),  # the console script
    ("trainables.tune", "trainables.train"),  # the two doors of the command line
    ("cluster.api",),
    ("cluster.result",),
    ("cluster.result_page",),
    ("cluster.cli", "cluster.aws", "cluster.tracking.__main__"),
    ("cluster.tuning",),
    ("cluster.launch",),
    ("cluster.execution",),
    ("cluster.options",),
    ("cluster.sampling", "cluster.tracking"),
    ("cluster.storage",),
    ("cluster.ledger",),
    ("searchspaces.train_one",),
    ("searchspaces",),  # the spaces, one file each
    ("searchspaces.check",),
    ("searchspaces.from_function",),
    ("searchspaces.loading", "searchspaces.parameters"),
    ("searchspaces.user_file",),
    ("searchspaces.overrides", "searchspaces.source", "searchspaces.suggestion"),
    ("searchspaces.calls",),
    ("searchspaces.space", "searchspaces.codec", "searchspaces.user_code"),
    ("searchspaces.json_text", "searchspaces.catalog", "searchspaces.train_options"),
    ("trainables.tasks",),
    ("trainables.integrations",),
    ("trainables",),  # fit, optim, cache, data, models and whatever is not named here
    ("trainables.run",),
    ("trainables.saved_run", "trainables.outputs"),
    (
        *("trainables.predictor", "trainables.predictions", "trainables.environment"),
        *("trainables.checkpoint", "trainables.tree", "trainables.file_parts"),
    ),
    ("trainables.history", "trainables.integrity", "trainables.metrics", "trainables.arguments"),
    ("trainables.errors", "trainables.ranking", "trainables.durations", "trainables.invocation"),
    ("trainables.shadowing",),
    # reports/ stands apart, and has an order of its own:
    ("reports",),  # the commands, and what they write
    ("reports.chapters",),
    ("reports.trained",),
    ("reports.read",),
    ("reports.write",),
    ("reports.records",),  # what a search is
    ("reports.numbers",),
)
APART = ("trainables.tasks", "searchspaces")  # the modules of these never import each other
MACHINERY = {
    f"searchspaces.{name}"
    for name in (
        *(
            "calls",
            "catalog",
            "check",
            "codec",
            "from_function",
            "json_text",
            "loading",
            "overrides",
        ),
        *("parameters", "source", "space", "suggestion", "train_one", "train_options"),
        *("user_code", "user_file"),
    )
}

# What reports share with a search: they read the same storage and rank the same way.
SHARED = ("cluster.storage", "cluster.tracking.client", "cluster.tracking.names")
SHARED += ("cluster.tracking.description", "cluster.tracking.pages")
SHARED += ("trainables.errors", "trainables.ranking", "trainables.durations")
SHARED += ("trainables.arguments", "trainables.terminal", "cluster.tracking.run_records")
SHARED += ("trainables.invocation", "trainables.collection")
SHARED += ("trainables.shadowing", "cluster.tuning.power")  # one power, in preview and report
SHARED += ("trainables.integrity",)
# The one module of reports that restores trained models.
RESTORING = "reports.trained.models"
# The one module of a search that writes reports, for the Python API.
REPORTING = "cluster.result"

# Which modules may import a library; those after "typing:" for annotations alone.
HOMES = {
    "ray": {"cluster.execution", "cluster.launch"},
    "mlflow": {
        *("cluster.tracking", "typing:cluster.tuning", "cluster.execution.teacher_source"),
        *("reports.read.records", "reports.packaging", "reports.serving_model"),
    },
    "optuna": {
        *("cluster.sampling", "searchspaces.parameters", "searchspaces.suggestion"),
        "searchspaces.from_function",
        "typing:searchspaces",
        "reports.chapters.hyperparameters.importance",
    },
}


def layer(module: str) -> int:
    """Return the layer that names a module most exactly, counted from the top."""
    names = [
        (len(name), depth)
        for depth, names in enumerate(LAYERS)
        for name in names
        if within(module, name)
    ]
    return max(names)[1]


def offence(found: Import) -> str | None:
    """Return what is wrong with an import, if anything is."""
    by, what = found.by, found.what
    library = what.partition(".")[0]
    if library in HOMES:
        homes = {home for home in HOMES[library] if found.typing or ":" not in home}
        if not any(within(by, home.removeprefix("typing:")) for home in homes):
            return f"{library} must not be imported there"
    if library not in PACKAGES:
        return None
    if within(by, "reports") != within(what, "reports") and not within(by, "trainables.command"):
        if by == RESTORING and what.startswith(("searchspaces", "trainables")):
            return None
        if by == REPORTING:
            return None
        shared = what == "trainables" or any(within(what, module) for module in SHARED)
        return None if shared and within(by, "reports") else "reports stand apart"
    if layer(what) < layer(by):
        return "imports run strictly down"
    for package in APART:
        if {by, what} & MACHINERY:
            continue
        if within(by, package) and what.startswith(f"{package}.") and by != what:
            return f"modules of {package} never import each other"
    data, models = "trainables.data", "trainables.models"
    for one, other in ((data, models), (models, data)):
        if within(by, one) and within(what, other):
            return "data and models do not know each other"
    return None


def test_there_is_something_to_look_at() -> None:
    assert {module.partition(".")[0] for module in MODULES} == set(PACKAGES)
    assert Import("cluster.execution.resources", "ray") in IMPORTS
    assert Import("searchspaces.space", "optuna", typing=True) in IMPORTS


def test_every_import_keeps_the_rules() -> None:
    offences = [f"{i.by} imports {i.what}: {why}" for i in IMPORTS if (why := offence(i))]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    ("by", "source"),
    [
        ("trainables.run", "import ray"),
        ("trainables.train", "from ray import tune"),
        ("trainables.fit", "from cluster.storage import location"),
        ("trainables.tasks.new", "def f():\n    import mlflow.tracking"),
        ("cluster.options", "import ray"),
        ("cluster.tuning.run_search", "from mlflow.tracking import MlflowClient"),
        ("cluster.tuning.run_search", "import ray"),
        ("cluster.execution.ray_tuner", "import optuna"),
        ("cluster.execution.ray_tuner", "from cluster.tuning import progress"),
        ("cluster.ledger.ledger", "from cluster.sampling.study import Study"),
        ("cluster.storage.location", "from cluster.tracking import client"),
        ("searchspaces.parameters", "from trainables.tune import main"),
        ("cluster.execution.ray_tuner", "from reports.read.records import read_search"),
        ("searchspaces.digits", "import optuna"),
        ("searchspaces.digits", "from searchspaces import svhn_150k"),
        ("searchspaces.digits", "from searchspaces.svhn_150k import Config"),
        ("searchspaces.loading", "from searchspaces.digits import SPACE"),
        ("searchspaces.digits", "from cluster.execution import trainable"),
        ("trainables.tasks.new", "from trainables.tasks.ppo import train"),
        ("trainables.tasks.ppo", "from searchspaces.loading import load_space"),
        ("trainables.data.svhn", "from trainables.models.mlp import mlp"),
        ("trainables.models.mlp", "import trainables.data.images"),
        ("trainables.checkpoint", "from trainables import run"),
        ("trainables.errors", "from trainables.run import Run"),
        ("reports.trained.models", "from cluster.ledger.ledger import Ledger"),
        ("reports.write.tables", "from searchspaces.loading import load_space"),
        ("reports.write.tables", "import mlflow"),
        ("reports.write.tables", "from cluster.ledger.ledger import Ledger"),
        ("reports.chapters.ensembles.chapter", "from reports.cli import answer"),
        ("reports.trained.restoring", "from reports.chapters import exhibits"),
        ("reports.read.weights", "from reports.trained import models"),
        ("reports.write.style", "from reports.read.records import read_search"),
        ("reports.records", "from reports.write.tables import Table"),
        ("reports.numbers.paired", "from reports.records import Search"),
    ],
)
def test_a_broken_rule_is_seen(by: str, source: str) -> None:
    assert [offence(found) for found in imports_of(by, source, set(MODULES))] != [None]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        # A package's __init__ runs before its modules, and may be all that they need.
        if found.what in MODULES and found.what != found.by:
            graph[found.by].add(found.what)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {error.args[1]}")


def test_one_configuration_trains_where_only_torch_is_installed(tmp_path: Path) -> None:
    absent = ["ray", "optuna", "mlflow", "datasets", "transformers", "peft", "sklearn", "scipy"]
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        rows = []
        for _ in range(60):
            png = io.BytesIO()
            Image.fromarray(draw.integers(0, 255, (32, 32, 3), np.uint8)).save(png, "PNG")
            rows.append({"bytes": png.getvalue(), "path": None})
        table = pa.table({"image": rows, "label": [i % 10 for i in range(60)]})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))  # None there makes an import fail
from trainables.train import main
words = "--space svhn_150k --reports 1 --set learning_rate=0.05 --set stem=8 --set width=8"
sys.exit(main([*words.split(), "--set", "growth=8", "--data-dir", {str(tmp_path)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TUNERY_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "learning_rate=0.05" in done.stdout
    assert "best validation_accuracy" in done.stdout


def _ours() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_place_on_our_machines() -> None:
    naming = []
    for path in _ours():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(lines, 1):
            places = {match[0] for match in PATHS.finditer(line)}
            if name == ".ci/run":
                places.discard("../" + "shared")
            if places:
                naming.append(f"{name}:{number}: {line.strip()}")
    assert not naming, "\n".join(naming)


@pytest.mark.parametrize("text", ["../" + "shared/data", 'Path("/' + 'work/main")', "/" + "root"])
def test_such_a_place_is_seen(text: str) -> None:
    assert PATHS.search(text)
    assert not PATHS.search(".github/workflows runs/workers https://x.org/root_cause")


def test_no_function_is_long() -> None:
    long = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    }
    assert not long, f"over {LONGEST_FUNCTION} lines: {long}"


def test_no_source_file_is_long() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    long = {module: length for module, length in lengths.items() if length > LONGEST}
    assert not long, f"over {LONGEST} lines: {long}"
