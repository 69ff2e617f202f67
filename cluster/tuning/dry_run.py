"""Print what a search would do and cost, without running it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.ledger.settings import SearchSettings
from cluster.options import Options
from cluster.sampling.agreeing_arms import find_agreeing_arms
from cluster.sampling.ranges import describe_range, format_number, range_to_json
from cluster.sampling.schedulers import REDUCTION, expected_reports
from cluster.tuning.open_search import use_teacher
from cluster.tuning.power import describe_power
from cluster.tuning.settings import decide_settings
from searchspaces.calls import prepare_data
from searchspaces.codec import encode_values
from searchspaces.overrides import build_config, encode_defaults
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from trainables.data.source import DataMissingError
from trainables.durations import format_duration
from trainables.errors import TaskError, UserError
from trainables.loop import start_loop
from trainables.run import Run, seed_everything

SHARES = (0.02, 0.02, 0.1)
"""Fractions of an epoch that are timed: the first warms up, and the difference of the others
excludes the fixed cost per trial."""


def print_dry_run(space: SearchSpace[Any], run: Run, options: Options, console: Console) -> None:
    """Print model, space, plan and cost; works without data, weights and network."""
    settings = decide_settings(space, options)
    _, run = use_teacher(settings, run, options)
    fixed = settings.fixed
    lacking, data = find_missing(space, fixed, run)
    try:
        per_report, probed = time_probe(space, fixed, run)
    except UserError:
        if not lacking or run.source == "placeholder":
            raise
        run.source = "placeholder"
        per_report, probed = time_probe(space, fixed, run)
    print_model(probed, console)
    print_space(space, fixed, console)
    likely = print_plan(space, settings, console)
    if run.source == "placeholder":
        what = "data missing " if data else ""
        unknown = f"cost unknown: {what}({lacking})"
        console.print(unknown, highlight=False, markup=False, soft_wrap=True)
    else:
        print_cost(per_report, likely, settings.trials, console)
        if lacking:
            console.print(
                f"missing here; a search that cannot download it is rejected: {lacking}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if reports := probed.facts.get("teacher_reports"):
        console.print(f"plus {reports:.0f} reports to train the teacher, once per machine")


def find_missing(space: SearchSpace[Any], fixed: Mapping[str, Any], run: Run) -> tuple[str, bool]:
    """Return in one line what is missing on this machine, and whether it is the data.

    Downloads nothing. Where data are missing, `run` gets placeholder data. Raises TaskError.
    """
    run.download = False
    try:
        prepare_data(space, build_config(space, fixed), run)
    except TaskError:
        raise
    except UserError as error:
        data = isinstance(error, DataMissingError)
        if data:
            run.source = "placeholder"
        return str(error).splitlines()[0], data
    return "", False


def print_space(space: SearchSpace[Any], fixed: Mapping[str, Any], console: Console) -> None:
    """Print the hyperparameters that are searched, with their ranges, and the fixed ones."""
    table = Table(box=None)
    for column in ("hyperparameter", "searched over", "default"):
        table.add_column(column)
    default = encode_defaults(space, fixed)
    for name, parameter in find_parameters(space, encode_values(fixed)).items():
        value = default.get(parameter.field or name, "")
        row = (name, describe_range(range_to_json(parameter.distribution)), format_number(value))
        table.add_row(*map(escape, row))
    for name, value in fixed.items():
        table.add_row(escape(name), "fixed", escape(format_number(value)))
    console.print(space.title, highlight=False, markup=False, soft_wrap=True)
    console.print(table)


def print_plan(space: SearchSpace[Any], settings: SearchSettings, console: Console) -> int:
    """Print trials x reports, the rungs, and the reports that early stopping is likely to leave.

    Returns their number. Every arm that is tuned has rungs of its own, and its best runs again.
    """
    trials, reports, arms = settings.trials, settings.reports, len(settings.arms)
    again = arms * settings.seeds
    each = expected_reports(
        settings.tune_arms or trials, reports, space.min_reports, settings.scheduler
    )
    likely = each * max(1, arms) + again * reports
    plan = f"plan: {trials} trials of {reports} reports"
    if arms:
        plan = (
            f"plan: {arms} arms of {settings.tune_arms} trials, in turns, then the best of each "
            f"arm on {settings.seeds} new seeds: {trials + again} runs of {reports} reports"
        )
    console.print(f"{plan} = at most {(trials + again) * reports}", soft_wrap=True)
    for fixed, start in settings.arms:
        values = ", ".join(f"{name}={format_number(value)}" for name, value in fixed.items())
        others = ", ".join(f"{name}={format_number(value)}" for name, value in start.items())
        line = f"  arm {values}{f', from {others} on' if others else ''}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    compared = arms or len(find_agreeing_arms(space, settings.fixed))
    if power := describe_power(compared, settings.seeds):
        console.print(power, highlight=False, soft_wrap=True)
    if settings.rungs:
        console.print(
            f"ASHA compares{' within each arm' if arms else ''} at reports "
            f"{', '.join(map(str, settings.rungs))}; about 1 in {REDUCTION} continues: likely "
            f"{likely} reports",
            soft_wrap=True,
        )
    return likely


def time_probe(space: SearchSpace[Any], fixed: Mapping[str, Any], run: Run) -> tuple[float, Run]:
    """Time the default configuration for a fraction of a report.

    Returns seconds per report, and the run. A task that ignores `run.share` makes a whole report.
    Raises TaskError for what is no report.
    """
    took: list[float] = []
    torch.set_num_threads(max(1, int(space.resources.get("cpu", 1))))
    config = build_config(space, fixed)
    for share in SHARES:
        part = replace(run, download=False, share=share)
        seed_everything(0)
        started = time.perf_counter()
        loop = start_loop(space.train, config, part)
        for report in itertools.islice(loop, 1):
            part.record(report, loop)
        part.finish()  # raises TaskError where there was no report
        loop.close()
        took.append(time.perf_counter() - started)
    slope = (took[2] - took[1]) / (SHARES[2] - SHARES[1])
    return max(slope, took[2]), part


def print_cost(seconds: float, reports: int, trials: int, console: Console) -> None:
    """Print the cost of the expected reports."""
    console.print(
        f"cost: {seconds:.2f} s per report here (measured with the default configuration), about "
        f"{format_duration(seconds * reports)} of device time = {seconds * reports / 3600:.2f} "
        f"device-hours for {trials} trials",
        highlight=False,
        soft_wrap=True,
    )


def list_modules(module: torch.nn.Module, path: str = "") -> list[tuple[str, str, int]]:
    """List the trained submodules of a module: path, class and number of parameters.

    A submodule that holds all parameters is replaced by its own submodules.
    """
    pieces = [
        (f"{path}{name}", child, sum(weight.numel() for weight in child.parameters()))
        for name, child in module.named_children()
    ]
    trained = [piece for piece in pieces if piece[2]]
    if len(trained) == 1 and list(trained[0][1].children()):
        return list_modules(trained[0][1], f"{trained[0][0]}.")
    return [(name, type(child).__name__, count) for name, child, count in trained]


def print_model(run: Run, console: Console) -> None:
    """Print the summary of the modules that a task trains, with their parameter counts."""
    for name, part in run.parts.items():
        if not isinstance(part, torch.nn.Module):
            continue
        table = Table(box=None)
        for column in (name, "kind", "parameters"):
            table.add_column(column, justify="right" if column == "parameters" else "left")
        for path, module, count in list_modules(part):
            table.add_row(path, module, f"{count:,}")
        console.print(table)
    if "parameters" in run.facts:
        console.print(f"{run.facts['parameters']:,.0f} parameters")
