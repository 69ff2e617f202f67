"""DQN: epsilon, both kinds of targets, and learning CartPole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from searchspaces import cartpole_dqn
from trainables import checkpoint
from trainables.rl.replay import Batch
from trainables.run import Run
from trainables.tasks.dqn import Config, compute_epsilon, compute_targets

SHORT = Config(steps=512, warm_up=64, width=16, batch_size=16, episodes=4)


def test_epsilon_decreases_linearly_and_then_stays() -> None:
    chances = [compute_epsilon(progress, 0.5, 0.1) for progress in (0.0, 0.25, 0.5, 0.9)]
    assert chances == pytest.approx([1.0, 0.55, 0.1, 0.1])


def train(config: Config, run: Run) -> list[dict[str, float]]:
    reports = []
    for metrics in cartpole_dqn.SPACE.train(config, run):
        run.record(metrics)
        reports.append(dict(metrics))
    return reports


def test_no_update_is_made_before_the_warm_up() -> None:
    reports = train(replace(SHORT, warm_up=600), Run(reports=2))
    assert [metrics["train_loss"] > 0 for metrics in reports] == [False, True]


def test_targets_agree_with_values_computed_by_hand() -> None:
    target, model = (torch.nn.Linear(1, 2, bias=False) for _ in range(2))
    target.weight.data = torch.tensor([[1.0], [3.0]])
    model.weight.data = torch.tensor([[5.0], [2.0]])
    zeros = torch.zeros(3, 1)
    batch = Batch(
        obs=zeros,
        actions=zeros[:, 0].long(),
        rewards=torch.tensor([10.0, 20.0, 30.0]),
        next_obs=torch.tensor([[1.0], [-1.0], [1.0]]),
        discounts=torch.tensor([0.5, 0.5, 0.0]),
    )
    # Of the values 1 and 3 (-1 and -3) the target network selects the largest, the model the
    # other; after the end of an episode there is no further value.
    assert compute_targets(batch, target, target).tolist() == [11.5, 19.5, 30.0]
    assert compute_targets(batch, target, model).tolist() == [10.5, 18.5, 30.0]


def test_the_target_network_is_saved_but_not_as_a_part_of_the_model(tmp_path: Path) -> None:
    run = Run(reports=1, metric="mean_return", folder=tmp_path)
    train(replace(SHORT, target_every=10_000), run)
    assert run.facts["parameters"] == 5 * 16 + 17 * 16 + 17 * 2
    last, best = (checkpoint.read(tmp_path / name) for name in ("last", "best"))
    assert last is not None and best is not None
    parts = last[1]["parts"]
    assert not parts["target"]["1.weight"].equal(parts["model"]["1.weight"])
    assert len(parts["replay"]["steps"]["rewards"]) * 8 == 512
    assert set(best[1]["parts"]) == {"model"}


def test_cartpole_is_learned() -> None:
    config = Config(steps=1536, warm_up=256, target_every=32, width=64, n_step=3, episodes=4)
    reports = train(config, Run(reports=2))
    assert max(metrics["mean_return"] for metrics in reports) > 40  # at random: 22


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train_every": 12}, "train_every=12 must be a multiple of environments=8"),
        ({"capacity": 500}, "capacity=500 must be at least warm_up=1000"),
        ({"gamma": 1.5}, "gamma must be in"),
    ],
)
def test_invalid_values_are_rejected(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Config(), **values)
