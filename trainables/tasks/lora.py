"""Fine-tuning of an encoder for texts, whole or by low-rank adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data.text import TextData
from trainables.errors import UserError
from trainables.fit import fit
from trainables.optim import add_warmup, build_optimizer, linear
from trainables.predictor import Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run
from trainables.text import encoders, lora_adapters
from trainables.text.encoders import Encoder
from trainables.text.lora_adapters import Classifier
from trainables.text.tokenization import (
    Tokens,
    batch_by_length,
    load_tokens,
    pad,
    shuffle_batches,
    tokenize,
)

EVALUATION_BATCH = 128
CLIP = 1.0  # the largest gradient norm
Batch = tuple[Tensor, Tensor, Tensor]
"""Token numbers, their mask, and the labels."""


class Settings(Protocol):
    """What this task reads of a Config."""

    @property
    def seed(self) -> int: ...
    @property
    def encoder(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def targets(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def alpha(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def epochs(self) -> int: ...


def build(config: Settings, encoder: Encoder, classes: int) -> tuple[Classifier, int]:
    """Load the classifier that a configuration describes, and count its parameters."""
    return lora_adapters.load_classifier(
        encoder,
        classes,
        targets="" if config.method == "full" else config.targets,
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
    )


def finetune(config: Settings, run: Run, data: TextData) -> Loop:
    """Train a classifier of texts; a report is an equal part of `epochs` epochs.

    Called after `seed_everything`. With made-up data an encoder that is not on this machine
    already is a tiny random one.
    """
    encoder = found(config.encoder, run)
    on_gpu = run.device.type == "cuda"
    texts = load_tokens(run, data, encoder)
    model, parameters = build(config, encoder, len(data.classes))
    model = model.to(run.device)
    padding = model.network.config.pad_token_id  # type: ignore[union-attr]
    updates = build_optimizer(
        "adamw",
        model,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.9,
    )
    owed = run.resume(model=model, optimizer=updates)
    run.facts["parameters"] = float(parameters)
    run.facts["trainable_parameters"] = float(lora_adapters.count_trainable(model))

    batch_size = min(config.batch_size, len(data.train))
    per_epoch = len(data.train) // batch_size
    per_report = max(1, config.epochs * per_epoch // run.reports)
    steps = max(1, round(run.share * per_report))
    coming = iter(owed)

    def batch(of: Tokens, labels: np.ndarray, rows: np.ndarray) -> Batch:
        ids, mask = pad([of[row] for row in rows], int(padding))  # type: ignore[arg-type]
        answers = torch.from_numpy(labels[rows])
        return ids.to(run.device), mask.to(run.device), answers.to(run.device)

    def batches() -> Iterator[Batch]:
        # Which batches a report is made of follows from its number: nothing to remember.
        first = next(coming) * per_report
        epoch, rows = -1, []
        for number in range(first, first + steps):
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                rows = shuffle_batches(texts["train"].lengths, batch_size, config.seed, epoch)
            yield batch(texts["train"], data.train.labels, rows[number % per_epoch])

    def measure(given: Batch) -> dict[str, Tensor]:
        ids, mask, labels = given
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(ids, mask).float()
        return {
            "loss": F.cross_entropy(logits, labels),
            "accuracy": (logits.argmax(1) == labels).float().mean(),
        }

    def outputs(split: str, share: float = 1.0) -> Tensor:
        lengths = texts[split].lengths
        lengths = lengths[: max(1, round(share * len(lengths)))]
        return logits_of(model, texts[split], lengths, int(padding), run.device)  # type: ignore[arg-type]

    def evaluate() -> Metrics:
        logits = outputs("validation", run.share)
        labels = torch.from_numpy(data.validation.labels[: len(logits)])
        return {
            "validation_loss": F.cross_entropy(logits, labels).item(),
            "validation_accuracy": (logits.argmax(1) == labels).double().mean().item(),
        }

    run.keep_predictions(
        validation=lambda: outputs("validation").softmax(1).numpy(),
        test=lambda: outputs("test").softmax(1).numpy(),
    )
    if config.method == "lora":
        run.show("adapter.md", lambda path: describe(model, path))
    yield from fit(
        run,
        model,
        updates,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=config.learning_rate,
        schedule=add_warmup(linear, config.warmup),
        clip=CLIP,
    )


def found(name: str, run: Run) -> Encoder:
    """Find the encoder of a run."""
    made_up = run.source == "placeholder"
    try:
        return encoders.find_encoder(name, download=run.download and not made_up)
    except UserError:
        if not made_up:
            raise
        return encoders.find_encoder(name, placeholder=True)


def logits_of(
    model: Classifier, texts: Tokens, lengths: np.ndarray, padding: int, device: torch.device
) -> Tensor:
    """Give the logits (n, classes) of the texts that have these lengths, on the CPU."""
    was_training = model.training
    model.eval()
    logits: Tensor | None = None
    with (
        torch.inference_mode(),
        torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"),
    ):
        for rows in batch_by_length(lengths, EVALUATION_BATCH):
            ids, mask = pad([texts[row] for row in rows], padding)
            made = model(ids.to(device), mask.to(device)).float().cpu()
            if logits is None:
                logits = torch.empty(len(lengths), made.shape[1])
            logits[torch.from_numpy(rows)] = made
    model.train(was_training)
    assert logits is not None
    return logits


def describe(model: Classifier, path: Path) -> None:
    """Write the adapters beside the weights, and how they are loaded elsewhere."""
    folder = path.with_name("adapter")
    lora_adapters.save_adapters(model, folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    network: Any = model.network
    settings = network.peft_config["default"]
    path.write_text(
        f"Beside the winner's weights lies `{folder.name}/` ({size:.1f} MB), adapters of rank "
        f"{settings.r} for {len(settings.target_modules)} matrices of "
        f"`{settings.base_model_name_or_path}`: "
        f"`peft.AutoPeftModelForSequenceClassification.from_pretrained` loads them.\n",
        encoding="utf-8",
    )


def restored(config: Settings, classes: tuple[str, ...], folder: Path) -> Predictor:
    """Give the trained classifier: texts (objects of type str, n) to probabilities."""
    encoder = encoders.find_encoder(config.encoder)
    model, _ = build(config, encoder, len(classes))
    checkpoint.load_module(model, folder)
    tokenizer = encoders.load_tokenizer(encoder)

    def predict(texts: np.ndarray) -> np.ndarray:
        numbers = [np.asarray(of, np.int32) for of in tokenize(tokenizer, texts.tolist())]
        lengths = np.array([len(of) for of in numbers])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        of = Tokens(np.concatenate(numbers), starts)
        cpu = torch.device("cpu")
        return logits_of(model, of, lengths, tokenizer.pad_token_id, cpu).softmax(1).numpy()

    files = {"encoder": encoder.files} if encoder.files else {}
    return Predictor(predict, np.array(["a text"], dtype=object), classes, files=files)
