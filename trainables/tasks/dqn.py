"""Deep Q-learning (Mnih et al., 2015): learn the value of actions from replayed experience."""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.checks import check_at_least, check_between, check_positive
from trainables.models.policies import q_network
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import mark_divergence
from trainables.rl import environments
from trainables.rl.replay import Batch, ReplayBuffer
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task

SEARCHED = (
    *("double", "n_step", "gamma", "learning_rate", "batch_size", "train_every", "updates"),
    *("target_every", "exploration", "final_epsilon", "width"),
)
"""Hyperparameters that a search varies; the other fields are part of the task."""


@dataclass(frozen=True)
class Config:
    """Settings of one training, with defaults for CartPole; steps are of single environments.

    A report is `steps` long. After `warm_up` steps, every `train_every` steps are followed by
    `updates` gradient steps; the target network is copied every `target_every` updates. The
    probability of a random action decreases from 1 to `final_epsilon` in the first `exploration`
    share of the training. Returns are sums over `n_step` rewards. With `double` the network
    selects the next action and the target network evaluates it. `clip` is the largest gradient
    norm. Every report plays `episodes` greedily.
    """

    seed: int = 0
    steps: int = 5120
    environments: int = 8
    capacity: int = 50_000
    warm_up: int = 1000
    train_every: int = 64
    updates: int = 32
    batch_size: int = 64
    learning_rate: float = 1e-3
    gamma: float = 0.99
    n_step: int = 3
    double: bool = True
    target_every: int = 128
    exploration: float = 0.2
    final_epsilon: float = 0.04
    width: int = 128
    clip: float = 10.0
    episodes: int = 20

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate", "clip", "gamma", "exploration")
        check_between(self, 0, 1, "gamma", "exploration", "final_epsilon")
        counts = ("steps", "environments", "train_every", "updates", "batch_size", "n_step")
        check_at_least(self, 1, *counts, "target_every", "width", "episodes")
        if self.train_every % self.environments:
            raise ValueError(
                f"train_every={self.train_every} must be a multiple of "
                f"environments={self.environments}, which are stepped together"
            )
        if not 0 <= self.warm_up <= self.capacity or self.capacity < self.environments:
            raise ValueError(
                f"capacity={self.capacity} must be at least warm_up={self.warm_up} and at least "
                f"environments={self.environments}"
            )


@dataclass(frozen=True)
class LunarLanderConfig(Config):
    """The same settings with defaults for LunarLander."""

    steps: int = 10_240
    capacity: int = 100_000
    warm_up: int = 2000
    train_every: int = 16
    updates: int = 8
    batch_size: int = 128
    learning_rate: float = 6e-4
    n_step: int = 1
    double: bool = False
    target_every: int = 250
    final_epsilon: float = 0.05
    width: int = 256


def prepare(environment: str, config: Config, run: Run) -> GroundTruth:
    """Return the environment's fingerprint; raises UserError if a package is missing."""
    return environments.build_ground_truth(environment)


def compute_epsilon(progress: float, exploration: float, final: float) -> float:
    """Return the probability of a random action: a linear decrease from 1, then constant."""
    return max(final, 1.0 - (1.0 - final) * progress / exploration)


@torch.no_grad()
def compute_targets(batch: Batch, target: nn.Module, selector: nn.Module) -> Tensor:
    """Return the TD targets (n,): `selector` selects the next actions, `target` evaluates them.

    With `target` in both roles as in Mnih et al. (2015), otherwise double Q-learning (van Hasselt
    et al., 2016).
    """
    next_values: Tensor = target(batch.next_obs)
    actions = (next_values if selector is target else selector(batch.next_obs)).argmax(1)
    return batch.rewards + batch.discounts * next_values.gather(1, actions[:, None])[:, 0]


def train(environment: str, config: Config, run: Run) -> Loop:
    """Train a Q-network; reports the mean return of greedy episodes.

    Always on the CPU: for so small a network a GPU is slower.
    """
    generator = seed_everything(config.seed)
    count = config.environments
    with closing(environments.make_vector_env(environment, count)) as envs:
        inputs, actions = environments.get_sizes(envs)
        model = q_network(inputs, config.width, actions)
        target = copy.deepcopy(model)
        optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)
        replay = ReplayBuffer(config.capacity // count, count, inputs)

        select_greedy = partial(environments.select_best, model)

        def select(obs: np.ndarray, epsilon: float) -> np.ndarray:
            explores = torch.rand(count, generator=generator).numpy() < epsilon
            random = torch.randint(actions, (count,), generator=generator).numpy()
            return np.where(explores, random, select_greedy(obs))

        def update() -> Tensor:
            batch = replay.sample(config.batch_size, config.n_step, config.gamma, generator)
            td_target = compute_targets(batch, target, model if config.double else target)
            value = model(batch.obs).gather(1, batch.actions[:, None])[:, 0]
            loss = F.smooth_l1_loss(value, td_target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            return torch.stack([loss.detach(), value.detach().mean()])

        environments.show_policy(run, environment, select_greedy)
        # Not a module for the run: the target network is not part of the trained weights.
        target_state = SimpleNamespace(
            state_dict=target.state_dict, load_state_dict=target.load_state_dict
        )
        reports = run.resume(
            model=model, target=target_state, optimizer=optimizer, replay=replay, draws=generator
        )
        per_report = max(1, config.steps // config.train_every)
        rounds = max(1, round(run.share * per_report))
        for report in reports:
            seeds = environments.draw_training_seeds(config.seed, report, count)
            obs, _ = envs.reset(seed=seeds)
            returns, epsilon = environments.EpisodeReturns(count), 1.0
            measured = [torch.zeros(2)]
            for done in range(rounds):
                progress = (report + done / per_report) / reports.stop
                epsilon = compute_epsilon(progress, config.exploration, config.final_epsilon)
                for _ in range(config.train_every // count):
                    selected = select(obs, epsilon)
                    step = environments.step_envs(envs, selected)
                    replay.add(obs, selected, step)
                    returns.add(step)
                    obs = step.obs
                first = (report * per_report + done) * config.updates
                for number in range(first, first + config.updates):
                    if len(replay) >= config.warm_up:
                        measured.append(update())
                    if (number + 1) % config.target_every == 0:
                        target.load_state_dict(model.state_dict())
                if run.on_progress is not None:
                    run.on_progress((done + 1) / rounds)
            replay.mark_reset()
            loss, value = torch.stack(measured[1:] or measured).mean(0).tolist()
            episodes = max(1, round(run.share * config.episodes))
            metrics = {
                **environments.evaluate_policy(environment, select_greedy, episodes),
                "train_return": returns.mean(),
                "train_loss": loss,
                "mean_value": value,
                "epsilon": epsilon,
            }
            yield mark_divergence(metrics, run.metric)


def restore(environment: str, config: Config, folder: Path) -> Predictor:
    """Load a trained Q-network: obs (n, d) float32 -> the actions of the highest values (n,)."""
    inputs, actions = environments.find_sizes(environment)
    model = checkpoint.load_module(q_network(inputs, config.width, actions), folder)
    return environments.build_agent(environment, model)


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
