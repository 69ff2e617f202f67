"""Fine-tuning of a text encoder on film reviews or own texts, fully or by low-rank adapters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import checkpoint
from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.class_names import ClassNames, read_class_names
from trainables.data.load import load_texts
from trainables.data.losses import ACCEPTED
from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.data.text import TextData, build_ground_truth
from trainables.data.text_columns import Columns
from trainables.errors import UserError
from trainables.fit import fit
from trainables.optim import add_warmup, build_optimizer, linear
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
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
"""Token ids, attention mask and labels."""


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `epochs` are in all.

    `targets`, `rank`, `alpha` and `dropout` are those of the adapters; full fine-tuning has none.
    `warmup` is a share of the training.
    `text_column`, `label_column` and `group_column` name columns of a table of the user's own,
    where they are not found; `accept_losses` is the fraction of its rows that may be unusable.
    """

    seed: int = 0
    encoder: str = "all-MiniLM-L6-v2"
    method: Literal["full", "lora"] = "lora"
    targets: Literal["none", "q", "qv", "qkvo", "all"] = "q"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    batch_size: int = 32
    epochs: int = 3
    text_column: str = ""
    label_column: str = ""
    group_column: str = ""
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_at_least(self, 1, "batch_size", "epochs", "alpha")
        check_fraction(self, "dropout", "warmup")
        if self.method == "lora" and (self.targets == "none" or self.rank < 1):
            raise ValueError(
                "method=lora needs targets and a rank of at least 1, not "
                f"targets={self.targets!r} with rank={self.rank}"
            )


def build_model(config: Config, encoder: Encoder, classes: int) -> tuple[Classifier, int]:
    """Load the classifier of a configuration; also returns its number of parameters."""
    return lora_adapters.load_classifier(
        encoder,
        classes,
        targets="" if config.method == "full" else config.targets,
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
    )


def train(config: Config, run: Run) -> Loop:
    """Train a classifier of texts; a report is an equal part of `epochs` epochs."""
    seed_everything(config.seed)
    data = load_data(config, run)
    encoder = find_encoder(config.encoder, run)
    on_gpu = run.device.type == "cuda"
    texts = load_tokens(run, data, encoder)
    model, parameters = build_model(config, encoder, len(data.classes))
    model = model.to(run.device)
    padding = model.network.config.pad_token_id  # type: ignore[union-attr]
    optimizer = build_optimizer(
        "adamw",
        model,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.9,
    )
    names = ClassNames(data.classes)
    reports = iter(run.resume(model=model, optimizer=optimizer, classes=names))
    run.facts["parameters"] = float(parameters)
    run.facts["trainable_parameters"] = float(lora_adapters.count_trainable(model))

    batch_size = min(config.batch_size, len(data.train))
    per_epoch = len(data.train) // batch_size
    per_report = max(1, config.epochs * per_epoch // run.reports)
    steps = max(1, round(run.share * per_report))

    def batches() -> Iterator[Batch]:
        # The number of a report determines its batches, so there is no state to save.
        first = next(reports) * per_report
        epoch, rows = -1, []
        for number in range(first, first + steps):
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                rows = shuffle_batches(texts["train"].lengths, batch_size, config.seed, epoch)
            chosen = rows[number % per_epoch]
            ids, mask = pad([texts["train"][row] for row in chosen], int(padding))  # type: ignore[arg-type]
            labels = torch.from_numpy(data.train.labels[chosen])
            yield ids.to(run.device), mask.to(run.device), labels.to(run.device)

    def measure(batch: Batch) -> dict[str, Tensor]:
        ids, mask, labels = batch
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(ids, mask).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    def predict_logits(split: str, share: float = 1.0) -> Tensor:
        lengths = texts[split].lengths
        lengths = lengths[: max(1, round(share * len(lengths)))]
        return compute_logits(model, texts[split], lengths, int(padding), run.device)  # type: ignore[arg-type]

    def evaluate() -> Metrics:
        logits = predict_logits("validation", run.share)
        labels = torch.from_numpy(data.validation.labels[: len(logits)])
        return {
            "validation_loss": F.cross_entropy(logits, labels).item(),
            "validation_accuracy": (logits.argmax(1) == labels).double().mean().item(),
        }

    run.keep_predictions(
        validation=lambda: predict_logits("validation").softmax(1).numpy(),
        test=lambda: predict_logits("test").softmax(1).numpy(),
    )
    if config.method == "lora":
        run.add_artifact("adapter.md", lambda path: write_adapters(model, path))
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
        schedule=add_warmup(linear, config.warmup),
        clip=CLIP,
    )


def load_data(config: Config, run: Run) -> TextData:
    """Load the film reviews, or the texts of the user's own."""
    columns = Columns(config.text_column, config.label_column, config.group_column)
    return load_texts(ROTTEN_TOMATOES, run, columns, config.accept_losses)


def find_encoder(name: str, run: Run) -> Encoder:
    """Find an encoder; on placeholder data a missing one is replaced by a tiny random one."""
    placeholder = run.source == "placeholder"
    try:
        return encoders.find_encoder(name, download=run.download and not placeholder)
    except UserError:
        if not placeholder:
            raise
        return encoders.find_encoder(name, placeholder=True)


def compute_logits(
    model: Classifier, texts: Tokens, lengths: np.ndarray, padding: int, device: torch.device
) -> Tensor:
    """Return the logits (n, classes) of texts with these lengths, on the CPU."""
    was_training = model.training
    model.eval()
    logits: Tensor | None = None
    with (
        torch.inference_mode(),
        torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"),
    ):
        for rows in batch_by_length(lengths, EVALUATION_BATCH):
            ids, mask = pad([texts[row] for row in rows], padding)
            output = model(ids.to(device), mask.to(device)).float().cpu()
            if logits is None:
                logits = torch.empty(len(lengths), output.shape[1])
            logits[torch.from_numpy(rows)] = output
    model.train(was_training)
    assert logits is not None
    return logits


def write_adapters(model: Classifier, path: Path) -> None:
    """Write the adapters beside the weights, and a text that says how to load them."""
    folder = path.with_name("adapter")
    lora_adapters.save_adapters(model, folder)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    network: Any = model.network
    settings = network.peft_config["default"]
    path.write_text(
        f"`{folder.name}/` ({size:.1f} MB) beside the weights holds adapters of rank {settings.r} "
        f"for {len(settings.target_modules)} matrices of `{settings.base_model_name_or_path}`. "
        "`peft.AutoPeftModelForSequenceClassification.from_pretrained` loads them.\n",
        encoding="utf-8",
    )


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the data and find the encoder, downloading both the first time."""
    encoders.find_encoder(
        config.encoder, placeholder=run.source == "placeholder", download=run.download
    )
    return build_ground_truth(load_data(config, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained classifier: texts (n,) of type object -> (n, classes) probabilities."""
    classes = read_class_names(folder)
    encoder = encoders.find_encoder(config.encoder)
    model, _ = build_model(config, encoder, len(classes))
    checkpoint.load_module(model, folder)
    tokenizer = encoders.load_tokenizer(encoder)

    def predict(texts: np.ndarray) -> np.ndarray:
        ids = [np.asarray(row, np.int32) for row in tokenize(tokenizer, texts.tolist())]
        lengths = np.array([len(row) for row in ids])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        tokens = Tokens(np.concatenate(ids), starts)
        cpu = torch.device("cpu")
        padding = int(model.network.config.pad_token_id)  # type: ignore[union-attr,arg-type]
        logits = compute_logits(model, tokens, lengths, padding, cpu)
        return logits.softmax(1).numpy()

    files = {"encoder": encoder.files} if encoder.files else {}
    return Predictor(predict, np.array(["a text"], dtype=object), classes, files=files)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
)
