"""The tests mirror the packages: the tests of `a/b/c.py` are in `tests/a/b/test_c.py`."""

from __future__ import annotations

import ast
from pathlib import Path

from searchspaces.catalog import list_names
from tests.support.paths import ROOT

PACKAGES = ("cluster", "reports", "searchspaces", "trainables")

# Modules without a test module of their own: either a door, or covered by another test module.
DOORS = (
    *("reports/__main__.py", "trainables/train.py", "trainables/tune.py"),
    *("trainables/command/__main__.py", "trainables/command/app.py"),
)
REPORT = "tests/reports/test_report.py"  # whole reports, read chapter by chapter
ENSEMBLES = "tests/reports/chapters/ensembles/test_chapter.py"
EXPORT = "tests/reports/test_export.py"
EXAMPLES = "tests/searchspaces/test_examples.py"
CHARTS = "tests/reports/write/test_charts.py"
SPACES = "tests/searchspaces/test_spaces.py"  # whole trainings of every space on few data
COVERED_BY = {
    "reports/assemble.py": REPORT,
    "reports/chapters/comparison/groups.py": "tests/reports/chapters/comparison/test_pairs.py",
    "reports/chapters/curves/by_arm.py": "tests/reports/chapters/comparison/test_figure.py",
    "reports/chapters/comparison/chart.py": CHARTS,
    "reports/chapters/curves/chart.py": CHARTS,
    "reports/chapters/hyperparameters/chart.py": CHARTS,
    "reports/chapters/ensembles/evaluation.py": ENSEMBLES,
    "reports/chapters/explain.py": REPORT,
    "reports/chapters/hyperparameters/broken_axis.py": (
        "tests/reports/chapters/hyperparameters/test_axis_plots.py"
    ),
    "reports/chapters/outcomes/failures.py": "tests/reports/chapters/outcomes/test_chapter.py",
    "reports/chapters/robust.py": REPORT,
    "reports/contents.py": REPORT,
    "reports/ensemble.py": ENSEMBLES,
    "reports/numbers/blends.py": "tests/reports/numbers/test_greedy.py",
    "reports/packaging.py": EXPORT,
    "reports/read/ensemble_members.py": ENSEMBLES,
    "reports/read/folder_log.py": "tests/reports/test_evaluate.py",
    "reports/read/predictions.py": ENSEMBLES,
    "reports/read/weights.py": EXPORT,
    "reports/records.py": "tests/reports/read/test_records.py",
    "reports/serving_model.py": EXPORT,
    "reports/trained/crops.py": "tests/reports/test_predict.py",
    "reports/trained/models.py": "tests/reports/test_predict.py",
    "reports/trained/overlay.py": "tests/reports/test_predict.py",
    "reports/trained/restoring.py": EXPORT,
    "reports/trained/winner_model.py": EXPORT,
    "reports/upload.py": REPORT,
    "reports/write/sections.py": "tests/reports/write/test_html.py",
    **{
        f"searchspaces/examples/{name}.py": EXAMPLES
        for name in (
            *("distributed_digits", "lightgbm_table", "lightning_digits", "pytorch_digits"),
            "sklearn_digits",
            *("transformers_texts", "xgboost_table"),
        )
    },
    "searchspaces/overrides.py": "tests/searchspaces/test_loading.py",
    "searchspaces/space.py": SPACES,
    "searchspaces/train_options.py": "tests/searchspaces/test_train_one.py",
    "trainables/data/ag_news.py": "tests/trainables/tasks/test_features.py",
    "trainables/data/arrow.py": "tests/trainables/data/test_images.py",
    "trainables/data/cifar10.py": "tests/trainables/data/test_sources.py",
    "trainables/data/csv_tables.py": "tests/trainables/data/test_text_tables.py",
    "trainables/data/flowers.py": "tests/trainables/data/test_photos.py",
    "trainables/data/hub.py": "tests/trainables/data/test_download.py",
    "trainables/data/mit67.py": "tests/trainables/data/test_sources.py",
    "trainables/data/mnist.py": "tests/trainables/data/test_sources.py",
    "trainables/data/own.py": SPACES,
    "trainables/data/parquet.py": "tests/trainables/data/test_images.py",
    "trainables/data/photo_list.py": "tests/trainables/data/test_photos.py",
    "trainables/data/questions.py": "tests/trainables/data/test_mathematics.py",
    "trainables/data/rotten_tomatoes.py": "tests/trainables/text/test_embeddings.py",
    "trainables/data/source.py": "tests/trainables/data/test_sources.py",
    "trainables/data/text_parts.py": "tests/trainables/data/test_text.py",
    "trainables/errors.py": "tests/cluster/test_cli.py",
    **{
        f"trainables/integrations/{name}.py": EXAMPLES
        for name in ("lightgbm", "lightning", "sklearn", "transformers", "xgboost")
    },
    "trainables/models/convnet.py": "tests/trainables/models/test_backbones.py",
    "trainables/models/table_mlp.py": "tests/trainables/tasks/test_table.py",
    "trainables/outputs.py": "tests/trainables/test_run.py",
    "trainables/predictor.py": SPACES,
    "trainables/rank.py": "tests/trainables/test_launch.py",
    "trainables/task.py": SPACES,
    "trainables/tasks/autoencoder.py": SPACES,
    "trainables/tasks/digits.py": SPACES,
    "trainables/tasks/flowers_scratch.py": SPACES,
    "trainables/tasks/mnist_mlp.py": "tests/searchspaces/test_mnist.py",
    "trainables/tasks/mnist_models.py": "tests/searchspaces/test_mnist.py",
    "trainables/tasks/photo_transfer.py": SPACES,
    "trainables/tasks/pyramid.py": SPACES,
    "trainables/tasks/residual_depth.py": "tests/searchspaces/test_cifar10_depth.py",
    "trainables/tasks/svhn_separable.py": SPACES,
    "trainables/text/causal_lm.py": "tests/reports/test_sample.py",
    "trainables/text/projections.py": "tests/trainables/tasks/test_features.py",
    "trainables/tree.py": "tests/trainables/test_checkpoint.py",
    "trainables/vision/torchvision_operators.py": "tests/trainables/models/test_backbones.py",
}


def list_modules() -> list[str]:
    """Return the modules that need tests; a space file is covered by the test of all spaces."""
    spaces = {f"searchspaces/{name}.py" for name in list_names()}
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    modules = {path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py"}
    return sorted(modules - spaces)


def find_test_module(module: str) -> Path:
    """Return the path at which the tests of a module are."""
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.stem.strip('_')}.py"


def test_every_module_has_its_tests() -> None:
    untested = {name for name in list_modules() if not find_test_module(name).exists()}
    assert not untested - {*DOORS, *COVERED_BY}, "these modules have no tests"
    assert not {*DOORS, *COVERED_BY} - untested, "these exceptions are not needed any more"


def test_the_tests_that_cover_a_module_exist() -> None:
    assert not [module for module in COVERED_BY if not (ROOT / module).exists()]
    assert not [test for test in set(COVERED_BY.values()) if not (ROOT / test).exists()]


def list_imports(file: Path) -> list[str]:
    """Return the names that a file imports, with their modules."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def test_no_module_imports_a_test_module() -> None:
    """What two test modules share is in `tests/support/` or in a conftest.py."""
    offenders = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tests").rglob("*.py")
        for name in list_imports(file)
        if name.startswith("tests.") and any(p.startswith("test_") for p in name.split("."))
    }
    assert not offenders
