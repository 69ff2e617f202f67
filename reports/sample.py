"""`python -m reports sample NAME --prompt "Nel mezzo"`: text from a trained or pretrained model.

NAME is a space of language models, or one of its searches, for its best trial; otherwise a
pretrained causal language model, by its folder or its name on the Hugging Face hub.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from reports.cli import add_server_arguments, print_error, run_action
from reports.read.records import Tracker, read_search
from reports.trained import models
from reports.trained.restoring import find_space, restore_run, select_run
from trainables.errors import UserError


def main(arguments: list[str]) -> int:
    """Run the command line; gives the exit code."""
    options = _parser().parse_args(arguments)
    if _searched(options):
        return run_action(options, lambda tracker: print(sample_trial(tracker, options)))
    try:
        print(models.continue_pretrained(options.name, options.prompt, **_how(options)))
    except UserError as error:
        print_error(error)
        return 2
    return 0


def sample_trial(tracker: Tracker, options: argparse.Namespace) -> str:
    """Give what the best trial of the newest search writes, or the trial that was named."""
    search = read_search(tracker, options.name)
    run, space = select_run(search, options.trial), find_space(search, options.space)
    predictor = restore_run(tracker, search, run, space)
    return models.continue_text(predictor, options.prompt, **_how(options))


def _how(options: argparse.Namespace) -> dict[str, Any]:
    names = ("length", "temperature", "top_k", "seed")
    return {name: getattr(options, name) for name in names}


def _searched(options: argparse.Namespace) -> bool:
    """Whether a search is meant: by the name of a space, with a number behind it or without."""
    if (Path(options.name) / "config.json").is_file():
        return False
    named = re.sub(r"-\d+$", "", options.name) in models.list_names()
    return named or options.trial is not None or options.space is not None


def _number(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _share(text: str) -> float:
    if not 0 <= (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is negative, or no number")
    return value if value >= 1e-6 else 0.0  # by which a float32 could not be divided


def _count(text: str) -> int:
    if not 0 <= (value := int(text)) < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is negative, or has over 63 bits")
    return value


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m reports sample", description=__doc__)
    p.add_argument("name", help="a space, a search such as dante_gpt-2, a folder, or a hub name")
    p.add_argument("--prompt", default="", help="how the text begins")
    p.add_argument("--length", type=_number, default=500, help="characters, or tokens (500)")
    p.add_argument(
        "--temperature", type=_share, default=0.8, help="0: always the likeliest (default 0.8)"
    )
    p.add_argument("--top-k", type=_count, default=0, help="draw from so many only (0: from all)")
    p.add_argument("--seed", type=_count, default=0)
    p.add_argument("--trial", type=int, metavar="N", help="default: the best on validation")
    p.add_argument("--space", help="the space's file, where it is none of Tunery's (code: run)")
    add_server_arguments(p)
    return p


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
