"""The command line: `python -m reports digits` reads a search and writes its report."""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from reports.figures import curve_keys, save, training_curves
from reports.markdown import Findings, report, winner_line
from reports.records import Tracker, TrackerError, open_tracker, read_search, with_curves
from reports.search import ReportError, Search
from reports.statistics import thinned
from reports.winner import Choice, Opened, choose, data_sizes, open_test

DRAWN = 100  # trials in a figure: more only add ink, and each costs a request per metric


def main(arguments: list[str] | None = None) -> int:
    """0 after a report, 2 after a message of what to mend."""
    options = _parser().parse_args(arguments)
    uri = options.tracking_uri or f"sqlite:///{Path(options.storage) / 'mlflow.db'}"
    try:
        tracker = open_tracker(uri)
        search = read_search(tracker, options.name)
        out = _writable(Path(options.out or Path("report") / search.space))
        findings = write(tracker, search, out)
    except (ReportError, TrackerError) as error:
        if options.debug:
            traceback.print_exc()
        lost = f"The tracking server {uri} could not answer: "
        print(error if isinstance(error, ReportError) else f"{lost}{error}"[:600], file=sys.stderr)
        return 2
    if search.synthetic:
        print("SYNTHETIC DATA:")
    print(winner_line(findings))
    print(f"report: {out / 'report.md'}")
    return 0


def write(tracker: Tracker, search: Search, out: Path) -> Findings:
    """Pick the winner, open its test predictions, draw the figures, write `out`/report.md."""
    choice = choose(search)
    sizes = data_sizes(tracker, search)
    test = open_test(tracker, search, choice.winner) if choice else Opened(None, search.openings)
    drawn = _draw(tracker, search, choice, out / "figures") if choice else None
    findings = Findings(search, choice, test, sizes, drawn)
    (out / "report.md").write_text(report(findings), encoding="utf-8")
    return findings


def _draw(tracker: Tracker, search: Search, choice: Choice, folder: Path) -> int | None:
    candidates = set(choice.candidates)
    others = [trial for trial in search.trials if trial not in candidates]
    keys = curve_keys(search)
    drawn = thinned([*choice.candidates, *others], DRAWN)
    drawn += [trial for trial in search.trials if trial.number == 0 and trial not in drawn]
    trials = with_curves(tracker, drawn, keys)
    figure = training_curves(search, trials, choice.winner.number, keys)
    if figure is None:
        return None
    save(figure, folder, "training_curves")
    return sum(any(trial.curves.values()) for trial in trials)


def _writable(folder: Path) -> Path:
    # Tried before the test set is opened: an opening without a report would be a wasted one.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise ReportError(
            f"The folder {folder} cannot be written to: {error.strerror}\n"
            "Name another one with --out DIR."
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports", description="Write the report of a search from MLflow."
    )
    parser.add_argument("name", help="a space's name, or the number of its MLflow experiment")
    parser.add_argument(
        "--storage", default="runs", metavar="DIR", help="where the search wrote (default: runs)"
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="default: sqlite:///STORAGE/mlflow.db"
    )
    parser.add_argument("--out", metavar="DIR", help="where report.md goes (default: report/NAME)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
