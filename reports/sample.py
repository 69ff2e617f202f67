"""`python -m reports sample NAME --prompt "Nel mezzo"`: generate text with a language model.

NAME is a space of language models, or one of its searches, whose winner generates the text;
otherwise a pretrained causal language model, by its folder or its name on the Hugging Face Hub.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from cluster.storage.storage import open_storage
from cluster.tracking.client import open_client
from reports.cli import print_error, run_action
from reports.read.records import Tracker, TrackerError, read_search
from reports.trained import models
from reports.trained.restoring import find_space, restore_run, select_run
from trainables.errors import UserError
from trainables.terminal import print_text


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""
    if _is_search(options):
        return run_action(options, lambda tracker: print_text(sample_trial(tracker, options)))
    try:
        print_text(
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
