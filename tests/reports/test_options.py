"""Reading the options takes no library that takes seconds, and finds misspelt words."""

import subprocess
import sys

import pytest

from reports.__main__ import main
from reports.options import PARSERS
from tests.support.paths import ROOT


@pytest.mark.parametrize("words", [["--help"], *([action, "--help"] for action in PARSERS)])
def test_help_needs_no_library_that_takes_seconds(words: list[str]) -> None:
    absent = ["ray", "optuna", "mlflow", "torch", "numpy", "matplotlib", "pandas", "scipy"]
    program = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))  # None there makes an import fail
from reports.__main__ import main
sys.exit(main({words!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "--storage" in done.stdout


@pytest.mark.parametrize(("word", "meant"), [("exprot", "export"), ("comapre", "compare")])
def test_a_misspelt_action_writes_no_report(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "digits"]) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_misspelt_option_is_told_with_the_one_that_is_near(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["digits", "--hmtl"])
    assert "--hmtl; did you mean --html?" in capsys.readouterr().err
