"""The command line: `python -m reports digits` reads a search and writes its report."""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from reports.assemble import Findings, format_winner
from reports.cli import add_server_arguments, print_error, run_action
from reports.contents import Chapter, collect_findings, write_report
from reports.read.records import Tracker, read_search
from reports.records import Search
from reports.upload import log_report
from reports.write.html import render_html
from reports.write.safe import to_slug
from reports.write.sections import Section
from reports.write.style import save_figure
from reports.write.tablefiles import write_tables
from trainables.errors import UserError

ACTIONS = ("ensemble", "export", "compare", "predict", "sample")  # modules with a main each


def main(arguments: list[str] | None = None) -> int:
    """0 after a report, 2 after a message of what to mend."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in ACTIONS:
        code: int = importlib.import_module(f"reports.{given[0]}").main(given[1:])
        return code
    options = _parser().parse_args(given)
    return max([run_action(options, partial(_report, options, name)) for name in options.names])


def _report(options: argparse.Namespace, name: str, tracker: Tracker) -> None:
    search = read_search(tracker, name)
    out = Path(options.out or "report")
    # Several reports never share a folder; one goes where --out says.
    out = _writable(
        out / to_slug(search.name) if len(options.names) > 1 or not options.out else out
    )
    more = _asked(tracker, search, options)
    found = collect_findings(tracker, search, options.open_test_again, options.open_test)
    _files(tracker, found, [(title, make(found)) for title, make in more], out, options)
    if search.is_synthetic:
        print("SYNTHETIC DATA:")
    print(format_winner(found))
    print(f"report: {out / 'report.md'}")
    if options.html:
        print(f"as one file: {out / 'report.html'}")


def _asked(
    tracker: Tracker, search: Search, options: argparse.Namespace
) -> list[tuple[str, Callable[[Findings], Section]]]:
    """Chapters that need the winner's weights and data, which are found before the test is opened.

    Only here a report needs torch, and seconds to import it.
    """
    if not (options.explain or options.robust):
        return []
    from reports.chapters import explain, robust
    from reports.trained import winner_model

    winner = winner_model.restore_winner(tracker, search, options.space, options.data_dir)
    asked: list[tuple[str, Callable[[Findings], Section]]] = []
    if options.explain:
        asked.append(
            ("What the winner looks at", lambda f: explain.write_section(search, winner, f.test))
        )
    if options.robust:
        asked.append(("Under attack", lambda f: robust.write_section(search, winner, f.test)))
    return asked


def _files(
    tracker: Tracker,
    found: Findings,
    more: Sequence[Chapter],
    out: Path,
    options: argparse.Namespace,
) -> None:
    report = write_report(tracker, found, options.ensemble, more)
    for name, figure in report.figures.items():
        save_figure(figure, out / "figures", name)
    for name, content in report.files.items():
        (out / "figures").mkdir(exist_ok=True)
        (out / "figures" / name).write_bytes(content)
    tables = write_tables(report.text, found.search, out / "tables", report.tables)
    (out / "report.md").write_text(report.text, encoding="utf-8")
    page = render_html(report.text, out)
    if options.html:
        (out / "report.html").write_text(page, encoding="utf-8")
    if options.no_log:
        return
    drawn = [out / "figures" / f"{n}.{kind}" for n in report.figures for kind in ("png", "svg")]
    drawn += [out / "figures" / name for name in report.files]
    try:
        # MLflow shows HTML as a page and markdown as text, so it gets the page in any case.
        log_report(tracker, found.search, out, [out / "report.md", *drawn, *tables], page)
    except UserError as error:
        print_error(error)  # the report is written all the same


def _writable(folder: Path) -> Path:
    # Tried before the test set is opened: an opening without a report would be a wasted one.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be written to: {error.strerror}\n"
            "Name another one with --out DIR."
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description="Write the report of a search from MLflow.",
        epilog="other actions, each with a --help of its own: "
        + ", ".join(f"python -m reports {action}" for action in ACTIONS),
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="a space, by its name or the number of its MLflow experiment, for its newest search; "
        "or a search, such as digits-2 or its id (tag `search`); or several of them",
    )
    add_server_arguments(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where report.md goes (default: report/NAME; with several names DIR/NAME)",
    )
    parser.add_argument("--html", action="store_true", help="also one self-contained HTML file")
    parser.add_argument(
        "--ensemble", action="store_true", help="also ensembles of the best trials"
    )
    parser.add_argument(
        "--explain", action="store_true", help="also what the winner looks at in images"
    )
    parser.add_argument(
        "--robust", action="store_true", help="also the winner's accuracy under FGSM and PGD"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="for --explain and --robust: the data of the search (default: TUNERY_DATA)",
    )
    parser.add_argument(
        "--space", metavar="FILE", help="for these: the space's file, where it is none of Tunery's"
    )
    parser.add_argument(
        "--no-log", action="store_true", help="do not put the report into the tracking server"
    )
    parser.add_argument(
        "--open-test",
        action="store_true",
        help="open the test set though the search is unfinished; it is counted",
    )
    parser.add_argument(
        "--open-test-again",
        action="store_true",
        help="open the test set for others than the first picked ones too; it is counted",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
