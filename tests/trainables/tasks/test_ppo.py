"""PPO: advantages, the clipped objective, and learning CartPole."""

from __future__ import annotations

import math

import pytest
import torch

from searchspaces import cartpole_ppo
from trainables.ranking import is_finite
from trainables.run import Run
from trainables.tasks.ppo import Config, compute_advantages, compute_policy_loss

HALF = 0.5


def test_gae_agrees_with_values_computed_by_hand() -> None:
    # Three steps of three environments: one goes on, one dies at its second step, the time of
    # one is up there. gamma = lambda = 1/2, so a surprise counts a quarter one step before.
    rewards = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [4.0, 4.0, 4.0]])
    values = torch.tensor([[10.0, 10.0, 10.0], [20.0, 20.0, 20.0], [30.0, 30.0, 30.0]])
    following = torch.tensor([[20.0, 20.0, 20.0], [30.0, 6.0, 6.0], [40.0, 40.0, 40.0]])
    terminated = torch.tensor([[False] * 3, [False, True, False], [False] * 3])
    ended = torch.tensor([[False] * 3, [False, True, True], [False] * 3])
    advantages = compute_advantages(rewards, values, following, terminated, ended, HALF, HALF)
    last = 4 + 20 - 30  # -6
    goes_on = 2 + 15 - 20 + last / 4  # -4.5
    dies = 2 - 20  # nothing follows
    cut = 2 + 3 - 20  # the state that it was left in is worth 6, and no later step counts
    expected = [
        [1 + 10 - 10 + goes_on / 4, 1 + 10 - 10 + dies / 4, 1 + 10 - 10 + cut / 4],
        [goes_on, dies, cut],
        [last, last, last],
    ]
    assert advantages.tolist() == expected


def test_lambda_0_gives_td_errors_and_lambda_1_full_returns() -> None:
    rewards, values, following = torch.randn(3, 6, 2)
    following[:-1] = values[1:]
    never = torch.zeros(6, 2, dtype=torch.bool)
    ends = [
        compute_advantages(rewards, values, following, never, never, 0.9, bound)
        for bound in (0, 1)
    ]
    assert torch.allclose(ends[0], rewards + 0.9 * following - values)
    powers = 0.9 ** torch.arange(6.0)[:, None]
    whole = (powers * rewards).sum(0) + 0.9**6 * following[-1]
    assert torch.allclose(ends[1][0], whole - values[0], atol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain", "slope"),
    [
        (1.1, 2.0, 2.2, 2.0),
        (1.5, 2.0, 2.4, 0.0),  # it has gained all that it may
        (0.5, 2.0, 1.0, 2.0),  # a loss is never cut off
        (0.5, -2.0, -1.6, 0.0),
        (1.5, -2.0, -3.0, -2.0),
    ],
)
def test_the_clipped_objective_and_its_gradient(
    ratio: float, advantage: float, gain: float, slope: float
) -> None:
    ratios = torch.tensor([ratio], requires_grad=True)
    loss = compute_policy_loss(ratios, torch.tensor([advantage]), 0.2)
    loss.backward()
    assert math.isclose(-loss.item(), gain, rel_tol=1e-6)
    assert ratios.grad is not None
    assert math.isclose(-ratios.grad.item(), slope, abs_tol=1e-6)


def test_cartpole_is_learned() -> None:
    run, returns = Run(reports=2, metric="mean_return"), []
    for metrics in cartpole_ppo.SPACE.train(Config(steps=2048, episodes=4), run):
        run.record(metrics)
        returns.append(metrics["mean_return"])
    assert max(returns) > 60  # at random: 22


def test_a_diverged_policy_reports_nan_and_does_not_raise() -> None:
    config = Config(steps=256, rollout=16, learning_rate=1e30, schedule="constant", episodes=1)
    assert not all(
        is_finite(metrics) for metrics in cartpole_ppo.SPACE.train(config, Run(reports=2))
    )
