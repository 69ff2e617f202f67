"""Which width and learning rate of a perceptron fit handwritten digits best?"""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from searchspaces import SearchSpace
from trainables.run import seed_everything


@dataclass(frozen=True)
class Config:
    seed: int = 0
    width: int = 64
    learning_rate: float = 3e-3


def train(config, run):
    seed_everything(config.seed)
    bunch = load_digits()
    images = torch.tensor(bunch.data / 16, dtype=torch.float32, device=run.device)
    labels = torch.tensor(bunch.target, device=run.device)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, config.width), torch.nn.ReLU(), torch.nn.Linear(config.width, 10)
    ).to(run.device)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate)
    for _ in run.resume(model=model, optimizer=optimizer):
        for batch in torch.randperm(1200).split(64):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = model(images[1200:])
        accuracy = (logits.argmax(1) == labels[1200:]).float().mean()
        run.report({"accuracy": accuracy, "loss": cross_entropy(logits, labels[1200:])})


def suggest(trial):
    return {
        "width": trial.suggest_int("width", 16, 128, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
    }


SPACE = SearchSpace(Config, train, suggest, metric="accuracy", mode="max", reports=9)
