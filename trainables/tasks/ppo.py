"""Proximal policy optimization (Schulman et al., 2017): small, sure steps of a policy."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainables.models.policies import ActorCritic
from trainables.optim import get_schedule, set_learning_rate
from trainables.rl import environments
from trainables.run import Loop, Run, seed_everything


@dataclass(frozen=True)
class Recipe:
    """How a policy and its value are trained.

    A report is `steps` single environments' steps long. Of each of `environments`, `rollout`
    steps are made between trainings; these go over them `epochs` times in
    batches, of all there is where that is less. The new
    policy's probability of an action counts up to 1 ± `clip_range` times the old one's.
    `gae_lambda` trades the bias of one-step values (0) for the variance of whole returns (1).
    Gradients are cut to the norm `clip`. Every report plays `episodes` greedily.
    """

    seed: int
    steps: int
    environments: int
    rollout: int
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    gamma: float
    gae_lambda: float
    clip_range: float
    entropy: float
    value_weight: float
    width: int
    clip: float
    episodes: int

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip_range", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("entropy", "value_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], not {getattr(self, name)}")
        for name in ("steps", "environments", "rollout", "epochs", "width", "episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if min(self.batch_size, self.environments * self.rollout) < 2:
            raise ValueError("batch_size, and environments x rollout, must be at least 2")


def advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Estimate how much better actions were than the policy (GAE: Schulman et al., 2016, eq. 16).

    All (steps, environments). `next_values` are of the states that the actions led to, also where
    an episode ended there; a `terminated` one is worth nothing more, and one merely cut is.
    """
    surprise = rewards + gamma * next_values * ~terminated - values
    found = torch.zeros_like(surprise)
    later = torch.zeros_like(surprise[0])
    for t in reversed(range(len(surprise))):
        later = surprise[t] + gamma * gae_lambda * later * ~ended[t]
        found[t] = later
    return found


def clipped(ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """Give the loss of the clipped objective (Schulman et al., 2017, eq. 7)."""
    bounded = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.min(ratio * advantage, bounded * advantage).mean()


def ppo(recipe: Recipe, environment: str, run: Run) -> Loop:
    """Train a policy; reports the mean return of greedy episodes.

    On the CPU wherever it runs: the network is so small that a GPU would be waited for.
    """
    draws = seed_everything(recipe.seed)
    many, length = recipe.environments, recipe.rollout
    with closing(environments.make_vector_env(environment, many)) as envs:
        inputs, actions = environments.get_sizes(envs)
        model = ActorCritic(inputs, recipe.width, actions)
        optimizer = torch.optim.Adam(
            model.parameters(), recipe.learning_rate, eps=1e-5, fused=True
        )

        @torch.inference_mode()
        def greedy(observations: np.ndarray) -> np.ndarray:
            answers: np.ndarray = model.actor(torch.from_numpy(observations)).argmax(1).numpy()
            return answers

        environments.show_policy(run, environment, greedy)
        owed = run.resume(model=model, optimizer=optimizer, generator_states=draws)
        per_report = max(1, recipe.steps // (many * length))
        batch_size = min(recipe.batch_size, many * length)
        rounds = max(1, round(run.share * per_report))
        factor = get_schedule(recipe.schedule)
        seen = torch.zeros(length, many, inputs)
        followed = torch.zeros(length, many, inputs)
        taken = torch.zeros(length, many, dtype=torch.int64)
        rewards = torch.zeros(length, many)
        terminated = torch.zeros(length, many, dtype=torch.bool)
        ended = torch.zeros(length, many, dtype=torch.bool)
        for report in owed:
            seeds = environments.draw_training_seeds(recipe.seed, report, many)
            observations, _ = envs.reset(seed=seeds)
            returns, told = environments.EpisodeReturns(many), []
            for done in range(rounds):
                progress = (report + done / per_report) / owed.stop
                set_learning_rate(optimizer, recipe.learning_rate * factor(progress))
                for t in range(length):
                    seen[t] = torch.from_numpy(observations)
                    with torch.inference_mode():
                        chances = model.actor(seen[t]).softmax(1)
                        # As multinomial draws, but of a diverged policy it does not raise.
                        races = torch.empty_like(chances).exponential_(generator=draws)
                        chosen = (chances / races).argmax(1)
                    step = environments.step_envs(envs, chosen.numpy())
                    taken[t], rewards[t] = chosen, torch.from_numpy(step.rewards)
                    followed[t] = torch.from_numpy(step.next_obs)
                    terminated[t] = torch.from_numpy(step.terminated)
                    ended[t] = torch.from_numpy(step.dones)
                    returns.add(step)
                    observations = step.obs
                with torch.no_grad():
                    logits, values = model(seen.flatten(0, 1))
                    before = logits.log_softmax(1).gather(1, taken.view(-1, 1)).squeeze(1)
                    advantage = advantages(
                        rewards,
                        values.view(length, many),
                        model.critic(followed).squeeze(-1),
                        terminated,
                        ended,
                        recipe.gamma,
                        recipe.gae_lambda,
                    ).flatten()
                wanted = advantage + values
                states, acts = seen.flatten(0, 1), taken.flatten()
                for _ in range(recipe.epochs):
                    order = torch.randperm(len(states), generator=draws)
                    for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
                        logits, value = model(states[rows])
                        logs = logits.log_softmax(1)
                        gone = logs.gather(1, acts[rows, None]).squeeze(1) - before[rows]
                        better = advantage[rows]
                        better = (better - better.mean()) / (better.std() + 1e-8)
                        policy_loss = clipped(gone.exp(), better, recipe.clip_range)
                        value_loss = 0.5 * (value - wanted[rows]).square().mean()
                        entropy = -(logs.exp() * logs).sum(1).mean()
                        loss = (
                            policy_loss
                            + recipe.value_weight * value_loss
                            - recipe.entropy * entropy
                        )
                        optimizer.zero_grad()
                        loss.backward()
                        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
                        optimizer.step()
                        # Schulman's estimate of KL(old, new), always positive.
                        moved = (gone.exp() - 1 - gone).mean()
                        told.append(
                            torch.stack([policy_loss, value_loss, entropy, moved]).detach()
                        )
                if run.on_progress is not None:
                    run.on_progress((done + 1) / rounds)
            names = ("train_policy_loss", "train_value_loss", "entropy", "kl")
            averages = torch.stack(told).mean(0).tolist()
            episodes = max(1, round(run.share * recipe.episodes))
            yield {
                **environments.evaluate_policy(environment, greedy, episodes),
                "train_return": returns.mean(),
                **dict(zip(names, averages, strict=True)),
            }
