"""`python -m reports sample NAME --prompt "Nel mezzo"`: generate text with a language model.

NAME is a space of language models, or one of its searches, whose winner generates the text;
otherwise a pretrained causal language model, by its folder or its name on the Hugging Face Hub.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from cluster.storage.storage import open_storage
from cluster.tracking.client import open_client
from reports.cli import add_server_arguments, add_space_arguments, print_error, run_action
from reports.read.records import Tracker, TrackerError, read_search
from reports.trained import models
from reports.trained.restoring import find_space, restore_run, select_run
from trainables.arguments import Parser, count, decimal, nonempty, seed, whole
from trainables.errors import UserError


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code: 0, 2 or 3 (`reports.cli.run_action`)."""
    options = _parser().parse_args(arguments)
    if _is_search(options):
        return run_action(options, lambda tracker: print(sample_trial(tracker, options)))
    try:
        print(
            models.continue_pretrained(options.name, options.prompt, **_sampling_options(options))
        )
    except UserError as error:
        print_error(error)
        return 2
    return 0


def sample_trial(tracker: Tracker, options: argparse.Namespace) -> str:
    """Return the text that the winner generates, or the trial of --trial."""
    search = read_search(tracker, options.name)
    run, space = (
        select_run(search, options.trial),
        find_space(search, options.space, options.changed_code),
    )
    predictor = restore_run(tracker, search, run, space)
    return models.continue_text(predictor, options.prompt, **_sampling_options(options))


def _sampling_options(options: argparse.Namespace) -> dict[str, Any]:
    names = ("length", "temperature", "top_k", "seed")
    return {name: getattr(options, name) for name in names}


def _is_search(options: argparse.Namespace) -> bool:
    """Return whether NAME is a search: the name of a space, possibly with `-` and a number."""
    if (Path(options.name) / "config.json").is_file():
        return False
    named = re.sub(r"-\d+$", "", options.name) in models.list_names()
    if named or options.trial is not None or options.space is not None:
        return True
    # On the Hub a name without an owner is rare; a folder has been found before.
    return "/" not in options.name and not Path(options.name).is_dir() and _is_recorded(options)


def _is_recorded(options: argparse.Namespace) -> bool:
    try:
        uri = open_storage(options.storage, options.tracking_uri).tracking_uri
        read_search(open_client(uri, read_only=True), options.name)
    except (UserError, TrackerError):  # no such server, or none that has it
        return False
    return True


def _temperature(value: str) -> float:
    temperature = decimal(0, 1e6)(value)
    return temperature if temperature >= 1e-6 else 0.0  # float32 cannot divide by less


def _parser() -> argparse.ArgumentParser:
    p = Parser(prog="python -m reports sample", description=__doc__)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
