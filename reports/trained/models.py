"""Restore trained models through their space, and predict, explain and attack with them.

Arguments and results are NumPy arrays: no other module of reports imports torch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.tracking.run_records import clean_tag
from reports.records import Search
from searchspaces.calls import check_data_dir, prepare_data, restore_predictor
from searchspaces.catalog import list_names as list_names
from searchspaces.check import check_space
from searchspaces.loading import load_space, read_trained
from searchspaces.loading import load_trained as load_trained
from searchspaces.overrides import build_config, describe_fields, parse_params
from searchspaces.source import hash_sources
from searchspaces.space import SearchSpace
from trainables.environment import default_device, find_data_folder
from trainables.errors import DamagedFileError, UnreadableError, UserError
from trainables.predictor import DataKind
from trainables.predictor import GroundTruth as GroundTruth
from trainables.predictor import Predictor as Predictor
from trainables.rl.environments import FIRST_UNSEEN as FIRST_UNSEEN
from trainables.rl.environments import play_episodes as play_episodes
from trainables.rl.environments import render_episode as render_episode
from trainables.run import Run
from trainables.text.causal_lm import generate_text
from trainables.vision.adversarial import fgsm, pgd
from trainables.vision.class_activation import compute_class_maps

BATCH = 64


def restore_model(space: str, params: Mapping[str, str], checkpoint: Path) -> Predictor:
    """Restore a trained model from a trial's parameters, as MLflow has them, and its weights.

    `space` is a name or the path of a space file. Raises UserError where it has no `restore`.
    """
    found = load_space(space)
    if found.restore is None:
        raise UserError(
            f"The space {space} has no `restore`, so none of its trained models can be exported, "
            "evaluated, sampled or explained.\n"
            "Add a `restore` to its SPACE, such as the one in trainables/tasks/digits.py."
        )
    try:
        return restore_predictor(found, _build_config(found, params), checkpoint)
    except DamagedFileError as error:
        raise UnreadableError(
            str(error).replace(str(checkpoint), f"of a trial of {found.name}")
        ) from error


def check_same_space(space: str, search: Search, changed_code: bool) -> None:
    """Raise UserError where a space is not the one that a search was made with.

    Another metric, mode or Config never is; changed code is accepted with `changed_code`.
    """
    loaded = load_space(space)
    check_space(loaded)
    for name, now in (
        ("metric", loaded.metric),
        ("mode", loaded.mode),
        ("fields", describe_fields(loaded)),
    ):
        before = search.tags.get(name, "")
        if before and before != clean_tag(now if isinstance(now, str) else json.dumps(now)):
            what = "Config" if name == "fields" else f"{name} {before!r}"
            raise UserError(
                f"{search.name} was made with another space than {space} is now: its {what} "
                "differs.\nRestore the file; a copy is among the artifacts of the search's run, "
                "in the folder code."
            )
    try:
        recorded = json.loads(search.tags.get("code") or "{}")
    except ValueError as error:  # servers cut long tags
        raise UnreadableError(f"The tag `code` of {search.name!r} is damaged: {error}") from error
    now_code = {name: digest[:16] for name, digest in hash_sources(loaded).items()}
    names = sorted(recorded.keys() | now_code.keys())
    changed = [name for name in names if recorded.get(name) != now_code.get(name)]
    if recorded and changed and not changed_code:
        raise UserError(
            f"The code of {search.name} has changed since it was started: {', '.join(changed)}.\n"
            "Restore it (a copy is among the artifacts of the search's run, in the folder code), "
            "or use the code of now with --changed-code."
        )


def load_data(
    space: str, params: Mapping[str, str], search: Search, folder: Path | None
) -> GroundTruth:
    """Return the data of a search, with inputs, from a folder, TUNERY_DATA or the cache.

    Nothing is downloaded. Raises UserError where they are missing or are not the search's.
    """
    source: Any = search.tags.get("source", "real")
    try:
        data, fingerprint = read_data(space, params, search, folder, source)
    except UserError as error:
        raise UserError(f"The data of {search.name} are missing: {error}") from error
    if fingerprint != (wanted := search.tags.get("data_fingerprint", "")):
        raise UserError(
            f"These are not the data of {search.name}: their fingerprint is "
            f"{fingerprint or 'unknown'} instead of {wanted or '(not recorded)'}.\n"
            "Name the folder of its data with --data-dir."
        )
    return data


def read_data(
    space: str,
    params: Mapping[str, str],
    search: Search,
    folder: Path | None,
    source: DataKind = "real",
    model: Predictor | None = None,
) -> tuple[GroundTruth, str]:
    """Return the data that a trial with these parameters reads, and their fingerprint.

    That is the one to compare with the search's. `model` is scored on data that may be others.
    Raises UserError where the data are missing.
    """
    found = load_space(space)
    data = _prepare(found, _build_config(found, params), folder, source, model)
    if data.fingerprint != search.tags.get("data_fingerprint", "") and search.trials:
        # A hyperparameter may add training data; the stored value is the first trial's.
        first = _build_config(found, search.trials[0].params)
        return data, _prepare(found, first, folder, source, model).fingerprint
    return data, data.fingerprint


def load_folder_data(
    folder: Path, trust_code: bool, data_dir: Path | None, model: Predictor
) -> tuple[str, GroundTruth]:
    """Return the name of the space and the data of a folder that `train --out` wrote.

    The data are those of `data_dir` for its `model`, of TUNERY_DATA or of the cache. Raises
    UserError where they are missing.
    """
    name, values = read_trained(folder, trust_code)
    space = load_space(name)
    other = model if data_dir else None
    return space.name, _prepare(space, build_config(space, values), data_dir, model=other)


def _prepare(
    space: SearchSpace[Any],
    config: Any,
    folder: Path | None,
    source: DataKind = "real",
    model: Predictor | None = None,
) -> GroundTruth:
    if space.prepare is None:
        raise UserError(f"The space {space.name} has no `prepare` that loads its data.")
    check_data_dir(space, folder)
    data = find_data_folder(folder)
    run = Run(reports=1, data=data, source=source, download=False, share=0, model=model)
    return prepare_data(space, config, run)


def compute_maps(
    predictor: Predictor, pixels: np.ndarray, classes: np.ndarray
) -> np.ndarray | str:
    """Return class activation maps, (n, y, x), of (n, c, h, w) pixels for (n,) classes.

    Returns the reason as text where the network has none.
    """
    if predictor.network is None:
        return "its space returns no network"
    try:
        parts = [
            compute_class_maps(predictor.network, torch.from_numpy(some), torch.from_numpy(of))
            for some, of in _batches(pixels, classes)
        ]
    except UserError as error:
        return str(error)
    return torch.cat(parts).numpy()


def attack(
    predictor: Predictor, pixels: np.ndarray, labels: np.ndarray, epsilons: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return which examples are still correct after FGSM and after PGD, (epsilons, n) each."""
    assert predictor.network is not None
    device = default_device()
    network = copy.deepcopy(predictor.network).to(device)
    draws = torch.Generator().manual_seed(0)
    correct: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for epsilon in epsilons:
        rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for some, of in _batches(pixels, labels):
            clean = torch.from_numpy(some).to(device)
            targets = torch.from_numpy(of).to(device)
            changed = (
                fgsm(network, clean, targets, epsilon),
                pgd(network, clean, targets, epsilon, draws),
            )
            for row, found in zip(rows, changed, strict=True):
                with torch.no_grad():
                    row.append((network(found).argmax(1) == targets).cpu().numpy())
        for whole, row in zip(correct, rows, strict=True):
            whole.append(np.concatenate(row))
    return np.stack(correct[0]), np.stack(correct[1])


def _batches(first: np.ndarray, second: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    starts = range(0, len(first), BATCH)
    return [(first[i : i + BATCH], second[i : i + BATCH]) for i in starts]


def _build_config(space: SearchSpace[Any], params: Mapping[str, str]) -> Any:
    return build_config(space, parse_params(space, params))


def continue_text(predictor: Predictor, prompt: str, **how: Any) -> str:
    """Return a prompt continued by a language model; raises UserError for other models."""
    if predictor.write is None:
        raise UserError("This model is not a language model: it generates no text.")
    return predictor.write(prompt, **how)


def continue_pretrained(name: str, prompt: str, **how: Any) -> str:
    """Return a prompt continued by a pretrained model; raises UserError where it is missing."""
    return generate_text(name, prompt, **how)
