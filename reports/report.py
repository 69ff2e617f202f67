"""`python -m reports NAME`: read a search and write its report."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from reports.assemble import Findings, Report, format_winner
from reports.cli import make_out_folder, run_action
from reports.contents import Chapter, collect_findings, write_report
from reports.read.records import Tracker, read_search
from reports.records import Search
from reports.upload import log_report
from reports.write.html import render_html
from reports.write.safe import to_folder_name, to_one_line
from reports.write.sections import Section
from reports.write.style import save_figure
from reports.write.tablefiles import write_tables
from trainables.errors import UnreadableError, UserError
from trainables.terminal import print_text


def run(options: argparse.Namespace) -> int:
    """Write the reports and return the exit code: 0, 2 or 3 (`reports.cli.run_action`)."""
    names = list(dict.fromkeys(options.names))

    def print_report(name: str, tracker: Tracker) -> None:
        out, found, report = write_files(options, name, tracker)
        if found.search.is_synthetic:
            print_text("SYNTHETIC DATA:")
        print_text(format_winner(found, to_one_line))
        print_text(f"report: {out / 'report.md'}")
        if options.html:
            print_text(f"as one file: {out / 'report.html'}")
        if report.unreadable:
            raise UnreadableError("The report is not complete:\n" + "\n".join(report.unreadable))

    return max([run_action(options, partial(print_report, name)) for name in names])


def write_files(
    options: argparse.Namespace, name: str, tracker: Tracker
) -> tuple[Path, Findings, Report]:
    """Write the report of a search into a folder and log it."""
    search = read_search(tracker, name)
    out = Path(options.out or "report")
    # Each of several reports has its own folder; a single one goes to --out itself.
    several = len(set(options.names)) > 1
    out = out / to_folder_name(search.name) if several or not options.out else out
    make_out_folder(out)  # before the test set is opened: one without a report would be wasted
    optional = _choose_optional_chapters(tracker, search, options)
    found = collect_findings(tracker, search, options.open_test_again, options.open_test)
    more = [(title, partial(write, found)) for title, write in optional]
    report = _write_and_log(tracker, found, more, out, options)
    return out, found, report


def _choose_optional_chapters(
    tracker: Tracker, search: Search, options: argparse.Namespace
) -> list[tuple[str, Callable[[Findings], Section]]]:
    """Return the chapters that need the winner's weights and data.

    Both are loaded before the test set is opened, so that an error wastes no opening. Only these
    chapters need torch, whose import takes seconds.
    """
    if not (options.explain or options.robust):
        return []
    from reports.chapters import explain, robust
    from reports.trained import winner_model

    winner = winner_model.restore_winner(
        tracker, search, options.space, options.data_dir, options.changed_code
    )
    chapters: list[tuple[str, Callable[[Findings], Section]]] = []
    if options.explain:
        chapters.append(
            ("What the winner looks at", lambda f: explain.write_section(search, winner, f.test))
        )
    if options.robust:
        chapters.append(("Under attack", lambda f: robust.write_section(search, winner, f.test)))
    return chapters


def _write_and_log(
    tracker: Tracker,
    found: Findings,
    more: Sequence[Chapter],
    out: Path,
    options: argparse.Namespace,
) -> Report:
    report = write_report(tracker, found, options.ensemble, more)
    for name, figure in report.figures.items():
        save_figure(figure, out / "figures", name)
    for name, content in report.files.items():
        (out / "figures").mkdir(exist_ok=True)
        (out / "figures" / name).write_bytes(content)
    tables = write_tables(report.text, found.search, out / "tables", report.tables)
    (out / "report.md").write_text(report.text, encoding="utf-8")
    page = render_html(report.text, out, report.charts, report.files)
    if options.html:
        (out / "report.html").write_text(page, encoding="utf-8")
    if options.no_log:
        return report
    drawn = [out / "figures" / f"{n}.{kind}" for n in report.figures for kind in ("png", "svg")]
    drawn += [out / "figures" / name for name in report.files]
    try:
        # MLflow renders HTML but shows markdown as text, so the page is logged in any case.
        files = [out / "report.md", *drawn, *tables]
        log_report(tracker, found.search, out, files, page, format_winner(found))
    except UserError as error:  # the report itself is written
        return replace(report, unreadable=(*report.unreadable, str(error)))
    return report
