"""Which width and learning rate of a Lightning module fit handwritten digits best?"""

from dataclasses import dataclass

from trainables.integrations.lightning import ReportCallback  # before torchvision

# isort: split
import lightning as L
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

from searchspaces import SearchSpace
from trainables.run import seed_everything


@dataclass(frozen=True)
class Config:
    seed: int = 0
    width: int = 64
    learning_rate: float = 3e-3


class Perceptron(L.LightningModule):
    def __init__(self, width, learning_rate):
        super().__init__()
        self.save_hyperparameters()
        self.network = torch.nn.Sequential(
            torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
        )

    def training_step(self, batch, index):
        return cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch, index):
        logits = self.network(batch[0])
        accuracy = (logits.argmax(1) == batch[1]).float().mean()
        self.log_dict({"accuracy": accuracy, "loss": cross_entropy(logits, batch[1])})

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.learning_rate)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


def train(config, run):
    seed_everything(config.seed)
    bunch = load_digits()
    images = torch.tensor(bunch.data / 16, dtype=torch.float32)
    data = TensorDataset(images, torch.tensor(bunch.target))
    batches = DataLoader(Subset(data, range(1200)), 64, shuffle=True)
    held_out = DataLoader(Subset(data, range(1200, 1797)), 597)
    module = Perceptron(config.width, config.learning_rate)
    report = ReportCallback(run)
    trainer = L.Trainer(
        max_epochs=run.reports,
        callbacks=[report],
        accelerator="auto",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches, held_out, ckpt_path=report.path, weights_only=True)


def suggest(trial):
    return {
        "width": trial.suggest_int("width", 16, 128, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
    }


SPACE = SearchSpace(Config, train, suggest, metric="accuracy", mode="max", reports=9)
