"""Train one configuration in this process: `python -m trainables.train --space NAME`.

Needs torch and the data, but not Ray, Optuna, MLflow or `datasets`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from searchspaces.calls import check_data_dir, prepare_data
from searchspaces.check import check_space, find_infeasible
from searchspaces.codec import encode_config
from searchspaces.loading import load_space, read_trained, read_training
from searchspaces.overrides import add_teacher_defaults, build_config, parse_overrides
from searchspaces.space import SearchSpace
from searchspaces.user_code import describe, find_line
from trainables.build_run import build_run
from trainables.checkpoint import find_os_error
from trainables.console import SafeConsole
from trainables.errors import (
    BAD_INPUT,
    INTERRUPTED,
    DamagedFileError,
    UserError,
    is_disk_full,
)
from trainables.ground_truth import expect_predictions
from trainables.integrity import encode_json
from trainables.launch import count_processes
from trainables.loop import end_forked_children, end_loop, start_loop
from trainables.run import Run
from trainables.terminal import print_text, share_streams

DIVERGED = FAILED = 1


class TrainingError(Exception):
    """Says in one line what a task has raised, and where; its cause is that error."""


def train(space: SearchSpace[Any], values: dict[str, Any], run: Run, console: Console) -> int:
    """Train with a progress bar and a line per report; return the exit code."""
    config = build_config(space, values)
    if reason := find_infeasible(space, config):
        raise UserError(f"the configuration is infeasible: {reason}")
    run.expected = expect_predictions(prepare_data(space, config, run))
    if run.folder is not None:
        run.notes += write_config(run.folder, space, config, run.teacher)
    console.print(
        f"{space.name} on {run.device}: "
        + "  ".join(f"{name}={value}" for name, value in encode_config(config).items()),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    run.processes = count_processes(space.resources, run.device)
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("training", total=run.reports)
        run.on_progress = lambda share: progress.update(task, completed=run.done + share)
        with task_code(space.file):
            loop = start_loop(space.train, config, run)
        for report in iterate(loop, space.file):
            metrics = run.record(report, loop)
            progress.update(task, completed=run.done)
            print_notes(run, progress.console)
            shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            progress.console.print(
                f"report {run.done:3d}  {shown}", highlight=False, markup=False, soft_wrap=True
            )
            if run.diverged:
                text = f"diverged: {run.diverged}"
                console.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
                loop.close()
                return DIVERGED
            if run.done >= run.reports:
                with task_code(space.file):
                    end_loop(loop)
                break
    print_notes(run, console)
    with task_code(space.file):
        run.finish()
    score = "none (no report was left)" if run.score is None else f"{run.score:.4f}"
    count = run.facts.get("parameters")
    console.print(
        f"best {space.metric} {score} at report {run.best_report}, "
        + (f"{count:,.0f} parameters, " if count else "")
        + f"{time.monotonic() - started:.1f} s"
        + (f", checkpoints in {run.folder}" if run.folder else ""),
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0


def iterate(loop: Generator[Any, None, None], file: str) -> Iterator[Any]:
    """Yield what a task yields; raises TrainingError for what it raises."""
    while True:
        with task_code(file), end_forked_children():
            try:
                report = next(loop)
            except StopIteration:
                return
        yield report


@contextmanager
def task_code(file: str) -> Iterator[None]:
    """Raise TrainingError for what a task raises in this context; `file` is its space file.

    Errors of the user, a full disk and Ctrl-C stay as they are.
    """
    try:
        with share_streams():
            yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an exit of the task, too
        if is_disk_full(find_os_error(error) or error):
            raise
        raise TrainingError(f"{describe(error)}{find_line(error, file)}") from error


def print_notes(run: Run, console: Console) -> None:
    """Print the notes of a run about damaged files, once."""
    for note in run.notes:
        console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    run.notes.clear()


def write_config(
    out: Path, space: SearchSpace[Any], config: Any, teacher: Path | None
) -> list[str]:
    """Write config.json beside the checkpoints, and return notes about it for the user.

    Raises UserError where it is of another training, or damaged.
    """
    path, part = out / "config.json", out / "config.json.part"
    content = {
        "space": space.file or space.name,
        "teacher": None if teacher is None else str(teacher.resolve()),
        "config": encode_config(config),
    }
    notes = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if read_training(path) != content:
                raise UserError(
                    f"{out} contains a training with another configuration or teacher: {path}\n"
                    "choose another folder with --out"
                )
        elif (out / "last").exists():
            notes.append(f"{path} was missing; it is written again with this configuration")
        part.write_text(encode_json(content, indent=2), encoding="utf-8")
        part.replace(path)
    except ValueError as error:
        raise DamagedFileError(
            f"{path} is damaged: {error}\nrestore it, choose another folder with --out, or delete "
            "it if this is the configuration of the checkpoints beside it"
        ) from error
    except OSError as error:
        raise UserError(f"--out {out} is not writable: {error.strerror}") from error
    return notes


def run(options: argparse.Namespace) -> int:
    """Train what the options ask for, print errors, and return the exit code."""
    code = BAD_INPUT
    try:
        return run_command(options, SafeConsole())
    except KeyboardInterrupt:
        advice = "; continue with the same command" if options.out else ""
        print_text(f"\ninterrupted{advice}", sys.stderr)
        return INTERRUPTED
    except UserError as error:
        if options.debug:
            raise
        text = str(error)
    except TrainingError as error:
        if options.debug:
            raise
        text, code = f"the training failed: {error}\n--debug shows the traceback", FAILED
    except Exception as error:
        failed = find_os_error(error) or error
        if options.debug or not isinstance(failed, OSError):
            raise
        text = f"the training cannot read or write: {failed}"
        if options.out and is_disk_full(failed):
            text += "\nfree some space, then continue with the same command: nothing is lost"
        else:
            text += "\nfix that, or find where it was raised with --debug"
    console = SafeConsole(stderr=True)
    console.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
    return code


def run_command(options: argparse.Namespace, console: Console) -> int:
    """Train what the options ask for and return the exit code."""
    space = load_space(options.space)
    check_space(space)
    check_data_dir(space, options.data_dir)
    values = parse_overrides(space, options.set)
    if options.teacher:
        values = add_teacher_defaults(space, values)
        if str(options.teacher).startswith("runs:"):
            raise UserError(
                f"--teacher {options.teacher}: only trainables.tune reads models from MLflow\n"
                "use a folder that --out has written"
            )
        read_trained(options.teacher, options.trust_code)
    run = build_run(
        options.reports or space.reports,
        space.metric,
        space.mode,
        data_dir=options.data_dir,
        source=options.data,
        weights=options.weights_dir,
        teacher=options.teacher,
        trust_code=options.trust_code,
        device=options.device,
        folder=options.out,
    )
    return train(space, values, run, console)
