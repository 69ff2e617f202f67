"""`fit` with a model of one weight, where every value can be computed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.errors import PreemptedError
from trainables.fit import fit, predict
from trainables.optim import constant, linear
from trainables.run import Run


class Probe:
    """A weight of 1 whose loss on a batch b is weight * b, so that its gradient is b."""

    def __init__(self, batches: list[float], learning_rate: float = 1.0) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.model.weight)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=123.0)
        self.data = batches
        self.learning_rate = learning_rate
        self.rates: list[float] = []
        self.training: list[bool] = []
        self.progress: list[float] = []

    def batches(self) -> Iterator[float]:
        yield from self.data

    def measure(self, batch: float) -> dict[str, Tensor]:
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.training.append(self.model.training)
        loss = self.model.weight.sum() * batch
        return {"loss": loss, "batch": torch.tensor(batch)}

    def evaluate(self) -> dict[str, float]:
        self.training.append(self.model.training)
        return {"validation_weight": self.weight}

    @property
    def weight(self) -> float:
        return float(self.model.weight.detach())

    def fit(
        self, remaining: range, epochs: int = 1, metric: str = "", **settings: Any
    ) -> list[dict[str, float]]:
        arguments: dict[str, Any] = {"schedule": constant, "steps": len(self.data), **settings}
        run = Run(reports=remaining.stop, metric=metric, on_progress=self.progress.append)
        run.done = remaining.start
        loop = fit(
            run,
            self.model,
            self.optimizer,
            epochs=epochs,
            batches=self.batches,
            measure=self.measure,
            evaluate=self.evaluate,
            learning_rate=self.learning_rate,
            **arguments,
        )
        return [dict(metrics) for metrics in loop]


def test_a_loss_that_is_not_finite_is_a_divergence_whatever_the_score() -> None:
    probe = Probe([float("inf"), 1.0])
    probe.evaluate = lambda: {"score": 0.5}  # type: ignore[method-assign]
    (metrics,) = probe.fit(range(1), metric="score")
    assert not math.isfinite(metrics["train_loss"])
    assert math.isnan(metrics["score"])
    (metrics,) = Probe([1.0]).fit(range(1), metric="validation_weight")
    assert metrics["validation_weight"] == 0.0


def test_a_report_averages_over_its_own_batches() -> None:
    probe = Probe([1.0, 3.0], learning_rate=0.1)
    first, second = probe.fit(range(2))
    # Losses: 1 * 1, then (1 - 0.1) * 3; the weight ends 0.4 lower.
    assert first["train_loss"] == pytest.approx((1 + 0.9 * 3) / 2)
    assert second["train_loss"] == pytest.approx((0.6 + 0.5 * 3) / 2)
    assert first["train_batch"] == second["train_batch"] == 2
    assert first["validation_weight"] == pytest.approx(0.6)
    assert second["validation_weight"] == pytest.approx(0.2)


def test_a_report_may_be_several_epochs() -> None:
    probe = Probe([1.0, 3.0], learning_rate=0.1)
    (only,) = probe.fit(range(1), epochs=3)
    assert len(probe.rates) == 6
    assert only["train_batch"] == 2
    assert only["validation_weight"] == pytest.approx(1 - 0.1 * 12)


def test_the_schedule_covers_the_whole_budget_once() -> None:
    probe = Probe([0.0] * 4, learning_rate=8.0)
    probe.fit(range(2), schedule=linear)
    assert probe.rates == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_resumed_schedule_continues() -> None:
    probe = Probe([0.0] * 4, learning_rate=8.0)
    assert len(probe.fit(range(1, 2), schedule=linear)) == 1
    assert probe.rates == [4, 3, 2, 1]


def test_without_remaining_reports_nothing_is_done() -> None:
    probe = Probe([1.0])
    assert probe.fit(range(2, 2)) == []
    assert probe.rates == []


def test_gradients_are_clipped_on_request() -> None:
    clipped, free = Probe([5.0]), Probe([5.0])
    clipped.fit(range(1), clip=0.5)
    free.fit(range(1))
    assert clipped.weight == pytest.approx(0.5)
    assert free.weight == pytest.approx(-4)


def test_trains_in_train_mode_and_evaluates_in_eval_mode() -> None:
    probe = Probe([1.0, 1.0])
    probe.fit(range(2))
    assert probe.training == [True, True, False] * 2


def test_progress_is_reported() -> None:
    probe = Probe([1.0, 1.0])
    probe.fit(range(2), epochs=2)
    assert probe.progress == [0.25, 0.5, 0.75, 1.0] * 2


def test_without_on_progress_training_works() -> None:
    probe = Probe([1.0])
    loop = fit(
        Run(reports=5),
        probe.model,
        probe.optimizer,
        epochs=1,
        steps=1,
        batches=probe.batches,
        measure=probe.measure,
        evaluate=probe.evaluate,
        learning_rate=0.1,
        schedule=constant,
    )
    next(loop)
    loop.close()
    assert len(probe.rates) == 1


class Noisy:
    """A small network whose training depends on every saved state, with a count of batches."""

    def __init__(self) -> None:
        self.trained = 0
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1)
        )
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.order = torch.Generator().manual_seed(1)

    def batches(self) -> Iterator[Tensor]:
        for _ in range(4):
            yield torch.randn(5, 3, generator=self.order)

    def measure(self, batch: Tensor) -> dict[str, Tensor]:
        self.trained += 1
        return {"loss": self.model(batch).square().mean()}

    def train(self, run: Run) -> list[dict[str, Any]]:
        run.resume(model=self.model, optimizer=self.optimizer, order=self.order)
        for metrics in fit(
            run,
            self.model,
            self.optimizer,
            epochs=3,
            steps=4,
            batches=self.batches,
            measure=self.measure,
            evaluate=lambda: {"score": self.model(torch.ones(2, 3)).sum().item()},
            learning_rate=0.1,
            schedule=linear,
        ):
            run.record(metrics)
        return run.history


@pytest.mark.parametrize("cut", range(24))
def test_a_run_preempted_between_any_two_batches_continues_there(tmp_path: Path, cut: int) -> None:
    expected = [entry["metrics"] for entry in Noisy().train(Run(reports=2))]
    noisy, trained, limit = Noisy(), 0, cut

    def preempted() -> bool:
        return trained + noisy.trained >= limit

    for limit in (cut, min(cut + 1, 23)):  # and again, one batch later
        noisy = Noisy()
        with pytest.raises(PreemptedError, match=f"in the middle of report {1 + limit // 12}"):
            noisy.train(Run(reports=2, folder=tmp_path, preempted=preempted))
        trained += noisy.trained
        assert trained == limit
    noisy = Noisy()
    history = noisy.train(Run(reports=2, folder=tmp_path))
    assert [entry["metrics"] for entry in history] == expected
    assert trained + noisy.trained == 24


def test_an_epoch_may_have_fewer_batches_than_steps() -> None:
    probe = Probe([1.0, 1.0, 1.0])
    probe.fit(range(2), epochs=3, steps=4)
    assert len(probe.rates) == 2 * 3 * 3


@pytest.mark.parametrize("training", [True, False])
def test_predict_covers_all_batches_and_leaves_the_model_unchanged(training: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)).train(training)
    batches = torch.randn(10, 2)
    outputs = predict(model, batches.split(4))
    assert torch.allclose(outputs, model[0](batches))
    assert not outputs.requires_grad
    assert all(part.training is training for part in model.modules())
    assert torch.equal(predict(model, iter(batches.split(10))), outputs)
