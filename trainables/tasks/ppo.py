"""Proximal policy optimization (Schulman et al., 2017): policy updates of a limited size."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from trainables import checkpoint
from trainables.checks import (
    check_at_least,
    check_between,
    check_non_negative,
    check_positive,
)
from trainables.models.policies import ActorCritic
from trainables.optim import get_schedule, set_learning_rate
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import mark_divergence
from trainables.rl import environments
from trainables.rl.environments import Step
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task

SEARCHED = (
    *("gamma", "gae_lambda", "learning_rate", "schedule", "rollout", "epochs", "batch_size"),
    *("clip_range", "entropy", "width"),
)
"""Hyperparameters that a search varies; the other fields are part of the task."""


@dataclass(frozen=True)
class Config:
    """Settings of one training, with defaults for CartPole.

    A report is `steps` long, counted in steps of single environments. Each of `environments`
    makes `rollout` steps between updates, which then go over them `epochs` times in batches of
    at most `batch_size`. The probability ratio of new and old policy is clipped to
    1 ± `clip_range`. `gae_lambda` trades the bias of one-step values (0) for the variance of full
    returns (1). `clip` is the largest gradient norm. Every report plays `episodes` greedily.
    """

    seed: int = 0
    steps: int = 4096
    environments: int = 8
    rollout: int = 128
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: Literal["constant", "linear"] = "linear"
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 1e-3
    value_weight: float = 0.5
    width: int = 64
    clip: float = 0.5
    episodes: int = 20

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate", "clip_range", "clip")
        check_non_negative(self, "entropy", "value_weight")
        check_between(self, 0, 1, "gamma", "gae_lambda")
        check_at_least(self, 1, "steps", "environments", "rollout", "epochs", "width", "episodes")
        check_at_least(self, 2, "batch_size")
        if self.environments * self.rollout < 2:
            raise ValueError("environments x rollout must be at least 2, not 1")


@dataclass(frozen=True)
class LunarLanderConfig(Config):
    """The same settings with defaults for LunarLander."""

    steps: int = 32_768
    environments: int = 16
    rollout: int = 256
    epochs: int = 4
    gamma: float = 0.999
    gae_lambda: float = 0.98
    entropy: float = 0.01


def compute_advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    dones: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Return generalized advantage estimates (Schulman et al., 2016, eq. 16).

    All tensors are (steps, environments). `next_values` are of the states that the actions led
    to, also at the end of an episode; a `terminated` state has no further value, a truncated one
    has.
    """
    deltas = rewards + gamma * next_values * ~terminated - values
    advantages = torch.zeros_like(deltas)
    following = torch.zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        following = deltas[t] + gamma * gae_lambda * following * ~dones[t]
        advantages[t] = following
    return advantages


def compute_policy_loss(ratio: Tensor, advantages: Tensor, clip_range: float) -> Tensor:
    """Return the loss of the clipped objective (Schulman et al., 2017, eq. 7)."""
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return -torch.min(ratio * advantages, clipped * advantages).mean()


def train(environment: str, config: Config, run: Run) -> Loop:
    """Train a policy; reports the mean return of greedy episodes.

    Always on the CPU: for so small a network a GPU is slower.
    """
    generator = seed_everything(config.seed)
    count, length = config.environments, config.rollout
    with closing(environments.make_vector_env(environment, count)) as envs:
        inputs, n_actions = environments.get_sizes(envs)
        model = ActorCritic(inputs, config.width, n_actions)
        optimizer = torch.optim.Adam(
            model.parameters(), config.learning_rate, eps=1e-5, fused=True
        )

        select_greedy = partial(environments.select_best, model.actor)
        environments.show_policy(run, environment, select_greedy)
        reports = run.resume(model=model, optimizer=optimizer, draws=generator)
        per_report = max(1, config.steps // (count * length))
        rounds = max(1, round(run.share * per_report))
        factor = get_schedule(config.schedule)
        rollout = Rollout(length, count, inputs)
        for report in reports:
            seeds = environments.draw_training_seeds(config.seed, report, count)
            next_obs, _ = envs.reset(seed=seeds)
            returns = environments.EpisodeReturns(count)
            measured: list[Tensor] = []
            for done in range(rounds):
                progress = (report + done / per_report) / reports.stop
                set_learning_rate(optimizer, config.learning_rate * factor(progress))
                for t in range(length):
                    rollout.obs[t] = torch.from_numpy(next_obs)
                    actions = sample_actions(model, rollout.obs[t], generator)
                    step = environments.step_envs(envs, actions.numpy())
                    rollout.add(t, actions, step)
                    returns.add(step)
                    next_obs = step.obs
                measured += update(model, optimizer, rollout, config, generator)
                if run.on_progress is not None:
                    run.on_progress((done + 1) / rounds)
            names = ("train_policy_loss", "train_value_loss", "entropy", "kl")
            averages = torch.stack(measured).mean(0).tolist()
            episodes = max(1, round(run.share * config.episodes))
            metrics = {
                **environments.evaluate_policy(environment, select_greedy, episodes),
                "train_return": returns.mean(),
                **dict(zip(names, averages, strict=True)),
            }
            yield mark_divergence(metrics, run.metric)


class Rollout:
    """The steps of all environments between two updates, (steps, environments) each."""

    def __init__(self, length: int, environments: int, inputs: int) -> None:
        shape = (length, environments)
        self.obs = torch.zeros(*shape, inputs)
        self.next_obs = torch.zeros(*shape, inputs)
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.rewards = torch.zeros(shape)
        self.terminated = torch.zeros(shape, dtype=torch.bool)
        self.dones = torch.zeros(shape, dtype=torch.bool)

    def add(self, t: int, actions: Tensor, step: Step) -> None:
        """Store the actions of step `t` and what they led to."""
        self.actions[t], self.rewards[t] = actions, torch.from_numpy(step.rewards)
        self.next_obs[t] = torch.from_numpy(step.next_obs)
        self.terminated[t] = torch.from_numpy(step.terminated)
        self.dones[t] = torch.from_numpy(step.dones)


@torch.inference_mode()
def sample_actions(model: ActorCritic, obs: Tensor, generator: torch.Generator) -> Tensor:
    """Sample an action (n,) per observation, as torch.multinomial does.

    Exponential races do not raise on the NaN probabilities of a diverged policy.
    """
    probabilities = model.actor(obs).softmax(1)
    races = torch.empty_like(probabilities).exponential_(generator=generator)
    actions: Tensor = (probabilities / races).argmax(1)
    return actions


def update(
    model: ActorCritic,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    config: Config,
    generator: torch.Generator,
) -> list[Tensor]:
    """Train on a rollout for `epochs`; returns policy and value loss, entropy and KL by batch."""
    obs, actions = rollout.obs.flatten(0, 1), rollout.actions.flatten()
    with torch.no_grad():
        logits, values = model(obs)
        old_logprobs = logits.log_softmax(1).gather(1, actions[:, None]).squeeze(1)
        advantages = compute_advantages(
            rollout.rewards,
            values.view(rollout.rewards.shape),
            model.critic(rollout.next_obs).squeeze(-1),
            rollout.terminated,
            rollout.dones,
            config.gamma,
            config.gae_lambda,
        ).flatten()
    returns = advantages + values
    batch_size = min(config.batch_size, len(obs))
    measured = []
    for _ in range(config.epochs):
        order = torch.randperm(len(obs), generator=generator)
        for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
            logits, value = model(obs[rows])
            logprobs = logits.log_softmax(1)
            logratio = logprobs.gather(1, actions[rows, None]).squeeze(1) - old_logprobs[rows]
            normalized = advantages[rows]
            normalized = (normalized - normalized.mean()) / (normalized.std() + 1e-8)
            policy_loss = compute_policy_loss(logratio.exp(), normalized, config.clip_range)
            value_loss = 0.5 * (value - returns[rows]).square().mean()
            entropy = -(logprobs.exp() * logprobs).sum(1).mean()
            loss = policy_loss + config.value_weight * value_loss - config.entropy * entropy
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            # Schulman's estimate of KL(old, new), which is never negative.
            kl = (logratio.exp() - 1 - logratio).mean()
            measured.append(torch.stack([policy_loss, value_loss, entropy, kl]).detach())
    return measured


def prepare(environment: str, config: Config, run: Run) -> GroundTruth:
    """Return the environment's fingerprint; raises UserError if a package is missing."""
    return environments.build_ground_truth(environment)


def restore(environment: str, config: Config, folder: Path) -> Predictor:
    """Load a trained policy: obs (n, d) float32 -> the most probable actions (n,)."""
    inputs, actions = environments.find_sizes(environment)
    model = ActorCritic(inputs, config.width, actions)
    checkpoint.load_module(model, folder)
    return environments.build_agent(environment, model.actor)


def task(environment: str, config: type[Config] = Config) -> Task[Config]:
    """Return the task of learning to play an environment of Gymnasium."""
    return Task(
        config=config,
        train=partial(train, environment),
        metric="mean_return",
        mode="max",
        prepare=partial(prepare, environment),
        restore=partial(restore, environment),
        reads_data=False,
    )
