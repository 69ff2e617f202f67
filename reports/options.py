"""The options of all commands of reports: reading them imports nothing that takes seconds."""

import argparse
import os
from pathlib import Path

from cluster.storage.storage import add_storage_arguments
from trainables.arguments import Parser, count, decimal, file_path, nonempty, seed, whole
from trainables.invocation import format_command


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a search was written, and --debug."""
    add_storage_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def add_space_arguments(parser: argparse.ArgumentParser, used: str = "") -> None:
    """Add the options that say which code restores the models of a search."""
    parser.add_argument(
        "--space",
        type=space_file,
        metavar="FILE",
        help=f"{used}file of a space that is not in searchspaces/; its code is executed",
    )
    parser.add_argument(
        "--changed-code",
        action="store_true",
        help=f"{used}use the code of the space although it has changed since the search",
    )


def add_test_arguments(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add the options that open a test set which is closed; `also` says where else."""
    parser.add_argument(
        "--open-test",
        action="store_true",
        help="open the test set although the search is unfinished; this is recorded",
    )
    parser.add_argument(
        "--open-test-again",
        action="store_true",
        help=f"open the test set {also}although it was opened before for another choice; this is "
        "recorded",
    )


def space_file(value: str) -> str:
    """Read the name of a space, or the path of a space file, which must exist."""
    value = nonempty(value)
    if (value.endswith(".py") or os.sep in value) and not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"the space file {value!r} does not exist")
    return value


def _temperature(value: str) -> float:
    temperature = decimal(0, 1e6)(value)
    return temperature if temperature >= 1e-6 else 0.0  # float32 cannot divide by less


def build_report_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports NAME`."""
    parser = Parser(
        prog=format_command("report"),
        description="Write the report of a search from MLflow.",
        epilog="other commands, each with its own --help: "
        + ", ".join(map(format_command, PARSERS)),
    )
    parser.add_argument(
        "names",
        type=nonempty,
        nargs="+",
        metavar="NAME",
        help="a space (name, file or id of its MLflow experiment) for its newest search, or a "
        "search (its name, such as digits-2, or its id, the tag `search`); several are possible",
    )
    add_server_arguments(parser)
    parser.add_argument(
        "--out",
        type=file_path,
        metavar="DIR",
        help="where report.md goes (default: report/NAME; with several names DIR/NAME)",
    )
    parser.add_argument(
        "--html", action="store_true", help="write one self-contained HTML file as well"
    )
    parser.add_argument(
        "--ensemble", action="store_true", help="add a chapter on ensembles of the best trials"
    )
    parser.add_argument(
        "--explain", action="store_true", help="add class activation maps of the winner"
    )
    parser.add_argument(
        "--robust", action="store_true", help="add the winner's accuracy under FGSM and PGD"
    )
    parser.add_argument(
        "--data-dir",
        type=file_path,
        metavar="DIR",
        help="for --explain and --robust: folder of the search's data (default: TUNERY_DATA)",
    )
    add_space_arguments(parser, "for --explain and --robust: ")
    parser.add_argument(
        "--no-log", action="store_true", help="do not log the report to the tracking server"
    )
    add_test_arguments(parser)
    return parser


def build_ensemble_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports ensemble`."""
    parser = Parser(
        prog=format_command("ensemble"), description="Evaluate an ensemble of the named trials."
    )
    parser.add_argument(
        "name", type=nonempty, help="the name of a space or of a search, such as digits-2"
    )
    parser.add_argument(
        "--members",
        nargs="+",
        type=nonempty,
        required=True,
        metavar="ID",
        help="trial numbers or run ids",
    )
    parser.add_argument(
        "--split",
        type=nonempty,
        default="validation",
        help="validation (default), test, or another stored split",
    )
    parser.add_argument(
        "--open-test-again",
        action="store_true",
        help="open the test set for these members; this is recorded and reported",
    )
    add_server_arguments(parser)
    return parser


def build_export_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports export`."""
    p = Parser(
        prog=format_command("export"),
        description="Register the winner or an ensemble as an MLflow model.",
    )
    p.add_argument("name", type=nonempty, help="a space, its file, or a search")
    p.add_argument(
        "--ensemble", action="store_true", help="export the ensemble that is best on validation"
    )
    p.add_argument(
        "--members",
        nargs="+",
        type=whole(0),
        help="export the average of these trials, by their numbers",
    )
    p.add_argument(
        "--register", type=nonempty, help="name of the registered model (default: the space)"
    )
    add_space_arguments(p)
    add_server_arguments(p)
    return p


def build_compare_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports compare`."""
    parser = Parser(
        prog=format_command("compare"),
        description="Compare searches of one space by their best score over time.",
    )
    parser.add_argument(
        "names", nargs="+", type=nonempty, help="names of searches, such as digits digits-2"
    )
    parser.add_argument(
        "--out", type=file_path, default="report/compare", help="default: report/compare"
    )
    add_server_arguments(parser)
    return parser


def build_predict_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports predict`."""
    parser = Parser(
        prog=format_command("predict"),
        description="Classify image files with the best model of a search. The shorter side is "
        "resized, the probabilities of five crops (centre and corners) are averaged, and the "
        "class activation map of the centre crop is drawn.",
    )
    parser.add_argument("name", type=nonempty, help="a space, its file, or a search")
    parser.add_argument(
        "pictures", nargs="+", type=file_path, metavar="PICTURE", help="image files"
    )
    parser.add_argument(
        "--trial", type=whole(0), metavar="N", help="use this trial instead of the winner"
    )
    parser.add_argument(
        "--out",
        type=file_path,
        default="report",
        metavar="DIR",
        help="folder of the figures (default: report)",
    )
    add_space_arguments(parser)
    add_server_arguments(parser)
    return parser


def build_sample_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports sample`."""
    p = Parser(
        prog=format_command("sample"),
        description="Generate text with a language model. NAME is a space of language models, or "
        "one of its searches, whose winner generates the text; otherwise a pretrained causal "
        "language model, by its folder or its name on the Hugging Face Hub.",
    )
    p.add_argument(
        "name",
        type=nonempty,
        help="a space, a search such as dante_gpt-2, a folder, or a name on the Hub",
    )
    p.add_argument("--prompt", default="", help="the beginning of the text")
    p.add_argument(
        "--length",
        type=count,
        default=500,
        help="characters or tokens to generate (default 500)",
    )
    p.add_argument(
        "--temperature",
        type=_temperature,
        default=0.8,
        help="0: always the most probable (default 0.8)",
    )
    p.add_argument(
        "--top-k",
        type=whole(0),
        default=0,
        help="sample from this many most probable ones (default 0: all)",
    )
    p.add_argument("--seed", type=seed, default=0)
    p.add_argument("--trial", type=whole(0), metavar="N", help="default: the winner")
    add_space_arguments(p)
    add_server_arguments(p)
    return p


def build_evaluate_parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m reports evaluate`."""
    p = Parser(
        prog=format_command("evaluate"),
        description="Score a trained model on a split of its data or on other data, with 95 % "
        "intervals. An opening of the test set is recorded.",
    )
    p.add_argument(
        "name",
        type=nonempty,
        help="a space, its file, a search, a trial such as digits-017, the id of a run in "
        "MLflow, or a folder of train --out",
    )
    p.add_argument("--trial", type=whole(0), metavar="N", help="default: the winner")
    p.add_argument(
        "--split",
        choices=("train", "validation", "test", "all"),
        help="default: validation; with --data-dir, where those are other data, all of them",
    )
    p.add_argument(
        "--data-dir",
        type=file_path,
        metavar="DIR",
        help="data of the same layout and classes (default: those of the model)",
    )
    p.add_argument("--episodes", type=count, metavar="N", help="of an agent (default: 100)")
    p.add_argument(
        "--out",
        type=file_path,
        default="report",
        metavar="DIR",
        help="of an agent: folder of a GIF and a table of the episodes (default: report)",
    )
    p.add_argument("--json", action="store_true", help="print JSON, for scripts")
    p.add_argument(
        "--trust-code",
        action="store_true",
        help="execute the space file that a folder of train --out names",
    )
    add_test_arguments(p, "for a model that validation did not choose, or ")
    add_space_arguments(p)
    add_server_arguments(p)
    return p


PARSERS = {
    "compare": build_compare_parser,
    "ensemble": build_ensemble_parser,
    "evaluate": build_evaluate_parser,
    "export": build_export_parser,
    "predict": build_predict_parser,
    "sample": build_sample_parser,
}
"""The actions of `python -m reports`, each a module of this package with a function `run`."""
