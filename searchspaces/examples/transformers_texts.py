"""Which size and learning rate of a transformer of Hugging Face tell good from bad reviews?

`--set table=reviews.csv` names a table with the columns `text` and `label` (0 or 1); without one,
short reviews are made up. The transformer starts from random weights: nothing is downloaded.
"""

from dataclasses import dataclass
from pathlib import Path

from trainables.integrations.transformers import ReportCallback  # before torchvision

# isort: split
import numpy as np
import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from searchspaces import SearchSpace
from trainables.run import seed_everything

WORDS = {1: ("good", "great", "fine", "superb"), 0: ("bad", "poor", "dull", "awful")}


@dataclass(frozen=True)
class Config:
    seed: int = 0
    table: Path | None = None
    layers: int = 1
    learning_rate: float = 1e-3


def load_table(path):
    if path is not None:
        return pd.read_csv(path)
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 300)
    texts = [f"the {draw.choice(WORDS[1 - y])} film was {draw.choice(WORDS[y])}" for y in labels]
    return pd.DataFrame({"text": texts, "label": labels})


def encode(table):
    words = sorted({word for text in table.text for word in text.split()})
    number = {word: index for index, word in enumerate(words, 1)}
    longest = min(64, max(len(text.split()) for text in table.text))
    return len(words) + 1, [
        {
            "input_ids": ([number[w] for w in text.split()] + [0] * longest)[:longest],
            "attention_mask": ([1] * len(text.split()) + [0] * longest)[:longest],
            "labels": int(label),
        }
        for text, label in zip(table.text, table.label, strict=True)
    ]


def measure(output):
    return {"accuracy": np.mean(output.predictions.argmax(1) == output.label_ids)}


def train(config, run):
    seed_everything(config.seed)
    size, examples = encode(load_table(config.table))
    held_out = len(examples) // 4
    shape = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    bert = BertConfig(vocab_size=size, num_hidden_layers=config.layers, num_labels=2, **shape)
    model = BertForSequenceClassification(bert)
    report = ReportCallback(run)
    arguments = TrainingArguments(
        **report.arguments,
        learning_rate=config.learning_rate,
        per_device_train_batch_size=32,
        seed=config.seed,
        use_cpu=run.device.type == "cpu",
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=examples[held_out:],
        eval_dataset=examples[:held_out],
        compute_metrics=measure,
        callbacks=[report],
    )
    trainer.train(report.path)


def suggest(trial):
    return {
        "layers": trial.suggest_int("layers", 1, 2),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
    }


SPACE = SearchSpace(Config, train, suggest, metric="eval_loss", mode="min", reports=9)
