"""Where the checkout and the space files of the tests are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SPACES = ROOT / "tests" / "support" / "spaces"
TRIVIAL = SPACES / "trivial.py"
