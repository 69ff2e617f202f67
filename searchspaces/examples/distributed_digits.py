"""Which width and learning rate fit handwritten digits best, trained in two processes?"""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from searchspaces import SearchSpace
from trainables.run import seed_everything


@dataclass(frozen=True)
class Config:
    seed: int = 0
    width: int = 64
    learning_rate: float = 3e-3


def train(config, run):
    run.launch(train_in_parallel, config)


def train_in_parallel(config, run):
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    seed_everything(config.seed)
    bunch = load_digits()
    images = torch.tensor(bunch.data / 16, dtype=torch.float32, device=run.device)
    labels = torch.tensor(bunch.target, device=run.device)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, config.width), torch.nn.ReLU(), torch.nn.Linear(config.width, 10)
    ).to(run.device)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate)
    for _ in run.resume(model=model, optimizer=optimizer):
        for batch in torch.randperm(1200).split(64):  # the same order in all processes
            own = batch[rank::ranks]
            loss = cross_entropy(parallel(images[own]), labels[own])
            optimizer.zero_grad()
            loss.backward()  # averages the gradients of the processes
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


SPACE = SearchSpace(
    Config,
    train,
    suggest,
    metric="accuracy",
    mode="max",
    reports=9,
    resources={"cpu": 2, "gpu": 2},
)
