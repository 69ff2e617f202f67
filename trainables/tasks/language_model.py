"""A character-level language model: trained on a text, evaluated on the text after it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import checkpoint
from trainables.checks import (
    check_at_least,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data import dante
from trainables.data.dante import Text
from trainables.errors import UserError
from trainables.fit import fit
from trainables.optim import add_warmup, build_optimizer, cosine
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.text.character_gpt import (
    CharacterGPT,
    compute_logits,
    make_predictor,
    name_characters,
    write_samples,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `steps` are per report.

    `block` is the context length in characters, `warmup` the share of the training in which the
    learning rate rises, `clip` the largest gradient norm (0: no clipping).
    """

    seed: int = 0
    layers: int = 4
    heads: int = 4
    width: int = 128
    block: int = 64
    dropout: float = 0.2
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    warmup: float = 0.05
    clip: float = 1.0
    batch_size: int = 32
    steps: int = 100

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay", "clip")
        check_at_least(self, 1, "layers", "heads", "width", "block", "batch_size", "steps")
        check_fraction(self, "dropout", "warmup")


def feasible(config: Config) -> str | None:
    """Return why a configuration is infeasible: its width is not a multiple of its heads."""
    if config.width % config.heads:
        return f"width {config.width} is not a multiple of {config.heads} heads"
    return None


def load_inferno(run: Run) -> Text:
    """Load Dante's Inferno; raises DataMissingError where it is not available."""
    return dante.load(run.data, run.cache, run.source, download=run.download)


def get_alphabet(text: Text) -> Tensor:
    """Return the code points of all characters of a text, ascending."""
    return torch.tensor(sorted(map(ord, set(text.full_text))))


def build_model(config: Config, codes: Tensor) -> CharacterGPT:
    """Build the model of a configuration for an alphabet of code points."""
    return CharacterGPT(
        codes,
        block=config.block,
        layers=config.layers,
        heads=config.heads,
        width=config.width,
        dropout=config.dropout,
    )


def train(config: Config, run: Run) -> Loop:
    """Train a model; reports loss in nats and in bits per character, and accuracy.

    Validation and test are read in consecutive windows of `block` characters, in which every
    character but the split's first is predicted once. These probabilities are stored;
    `samples.md` shows text that the model writes.
    """
    seed_everything(config.seed)
    text = load_inferno(run)
    device = run.device
    on_gpu = device.type == "cuda"
    model = build_model(config, get_alphabet(text)).to(device)
    train = model.encode(text.train).to(device)
    validation, test = (model.encode(part).to(device) for part in (text.validation, text.test))
    if min(map(len, (train, validation, test))) < config.block + 2:
        raise UserError(
            f"block={config.block} is too long for parts of {len(train):,}, {len(validation):,} "
            f"and {len(test):,} characters"
        )
    optimizer = build_optimizer(
        "adamw",
        model,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.0,
    )
    generator = torch.Generator().manual_seed(config.seed)
    run.resume(model=model, optimizer=optimizer, draws=generator)
    steps = max(1, round(run.share * config.steps))
    window = torch.arange(config.block + 1, device=device)

    def batches() -> Iterator[Tensor]:
        for _ in range(steps):
            starts = torch.randint(
                len(train) - config.block, (config.batch_size, 1), generator=generator
            )
            yield train[starts.to(device) + window]

    def measure(windows: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(windows[:, :-1])
        return {"loss": F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())}

    def evaluate() -> Metrics:
        part = validation[: max(config.block + 2, round(run.share * len(validation)))]
        logits = compute_logits(model, part, on_gpu)
        loss = float(F.cross_entropy(logits, part[1:]))
        accuracy = float((logits.argmax(1) == part[1:]).double().mean())
        return {
            "validation_loss": loss,
            "validation_bits": loss / math.log(2),
            "validation_accuracy": accuracy,
        }

    def probabilities(part: Tensor) -> np.ndarray:
        return compute_logits(model, part, on_gpu).softmax(1).cpu().numpy()

    run.keep_predictions(
        validation=lambda: probabilities(validation), test=lambda: probabilities(test)
    )
    run.add_artifact("samples.md", lambda path: write_samples(path, model))
    yield from fit(
        run,
        model,
        optimizer,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=config.learning_rate,
        schedule=add_warmup(cosine, config.warmup),
        clip=config.clip,
    )


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the Inferno, downloading it the first time; inputs are the texts before a character."""
    text = load_inferno(run)
    codes = get_alphabet(text).numpy()
    splits = {"train": text.train, "validation": text.validation, "test": text.test}

    def inputs(name: str) -> np.ndarray:
        part = splits[name]
        contexts = [
            part[at // config.block * config.block : at + 1] for at in range(len(part) - 1)
        ]
        return np.array(contexts, dtype=object)

    def targets(name: str) -> np.ndarray:
        return np.searchsorted(codes, [ord(character) for character in splits[name][1:]])

    return GroundTruth(
        fingerprint=text.fingerprint,
        classes=name_characters("".join(map(chr, codes))),
        targets={name: targets(name) for name in ("validation", "test")},
        inputs=inputs,
        examples=lambda name: (inputs(name), targets(name)),
    )


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained model: texts (n,) -> (n, characters) probabilities of the next character."""
    saved = checkpoint.read(folder)
    if saved is None:
        raise UserError(f"no complete checkpoint in {folder}")
    model = build_model(config, saved[1]["parts"]["model"]["codes"])
    checkpoint.load_module(model, folder)
    return make_predictor(model)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_loss",
    mode="min",
    feasible=feasible,
    prepare=prepare,
    restore=restore,
)
