"""Tables as CSV and LaTeX files."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.write.tablefiles import find_tables, to_latex, to_numbers, write_tables
from reports.write.tables import Table, to_markdown
from tests.support.make_search import make_search, make_trial

TABLE = Table(
    ("trial", "best_score", "n", "size", "mixed"),
    (("1 (winner)", "97.00 %", "1,000", "–", "5 %"), ("a_b & c", "3.50 %", "20", "1e-05", "7")),
    "lrrcl",
)
TEXT = f"# Title\n\n## Best & first\n\n{to_markdown(TABLE)}\n\nText.\n\n{to_markdown(TABLE)}\n"


def test_tables_are_found_under_their_headings() -> None:
    found = list(find_tables(TEXT))
    assert [(name, heading) for name, heading, _ in found] == [
        ("best_first", "Best & first"),
        ("best_first_2", "Best & first"),
    ]
    assert found[0][2] == TABLE


def test_numbers_are_numbers_in_csv() -> None:
    frame = to_numbers(TABLE)
    assert [list(frame), *frame.to_numpy().tolist()] == [
        ["trial", "best_score (%)", "n", "size", "mixed"],
        ["1 (winner)", "97.00", "1000", "", "5 %"],
        ["a_b & c", "3.50", "20", "1e-05", "7"],
    ]


def test_latex_escapes_and_has_rules() -> None:
    text = to_latex(TABLE, "Best & first", "best_first")
    for expected in (
        r"\begin{tabular}{lrrcl}",
        r"\toprule",
        r"best\_score",
        r"97.00 \%",
        r"a\_b \& c",
        r"\caption{Best \& first}",
        r"\label{tab:best_first}",
    ):
        assert expected in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    body = to_latex(TABLE, "Best & first", "best_first")
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_all_trials_unrounded(tmp_path: Path) -> None:
    made = make_search(
        make_trial(
            0, 0.123456789, params={"rate": 1e-5}, reported={"loss": 1.7976931348623157e308}
        ),
        make_trial(1, None, params={"kind": 'a, "b"'}, outcome="failed", reason="out of memory"),
    )
    written = write_tables(TEXT, made, tmp_path / "tables")
    assert [path.name for path in written] == [
        "trials.csv",
        "best_first.csv",
        "best_first.tex",
        "best_first_2.csv",
        "best_first_2.tex",
    ]
    with written[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["score"] == "0.123456789"
    assert rows[0]["loss"] == "inf"
    assert rows[1]["kind"] == 'a, "b"'
    assert (rows[1]["score"], rows[1]["reason"]) == ("", "out of memory")
