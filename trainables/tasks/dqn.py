"""Deep Q-learning (Mnih et al., 2015): learn what actions are worth, replaying what was seen."""

from __future__ import annotations

import copy
import math
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.models.policies import q_network
from trainables.rl import environments
from trainables.rl.replay import Batch, ReplayBuffer
from trainables.run import Loop, Run, seed_everything


@dataclass(frozen=True)
class Recipe:
    """How a Q-network is trained; what is counted in steps is counted in single environments'.

    A report is `steps` long. After each `train_every` of them come `updates` of the weights,
    once `warm_up` steps are seen; the target network is a copy, renewed every `target_every`
    updates. The chance of a random action falls from 1 to `final_epsilon` in the first
    `exploration` share of the training. Returns are summed over `n_step` rewards; `double` lets
    the network choose the action that the target network values. Gradients are cut to the norm
    `clip`. Every report plays `episodes` greedily.
    """

    seed: int
    steps: int
    environments: int
    capacity: int
    warm_up: int
    train_every: int
    updates: int
    batch_size: int
    learning_rate: float
    gamma: float
    n_step: int
    double: bool
    target_every: int
    exploration: float
    final_epsilon: float
    width: int
    clip: float
    episodes: int

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 < self.clip < math.inf:
            raise ValueError(f"clip must be above 0, not {self.clip}")
        for name in ("gamma", "exploration"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], not {getattr(self, name)}")
        if not 0 <= self.final_epsilon <= 1:
            raise ValueError(f"final_epsilon must be in [0, 1], not {self.final_epsilon}")
        counts = ("steps", "environments", "train_every", "updates", "batch_size", "n_step")
        for name in (*counts, "target_every", "width", "episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.train_every % self.environments:
            raise ValueError(
                f"train_every={self.train_every} must be a multiple of "
                f"environments={self.environments}, which are stepped together"
            )
        if not 0 <= self.warm_up <= self.capacity or self.capacity < self.environments:
            raise ValueError(
                f"capacity={self.capacity} must hold warm_up={self.warm_up} steps, and one of "
                f"each of environments={self.environments}"
            )


def epsilon(progress: float, exploration: float, final: float) -> float:
    """Give the chance of a random action: a straight line from 1, then level."""
    return max(final, 1.0 - (1.0 - final) * progress / exploration)


@torch.no_grad()
def targets(batch: Batch, target: nn.Module, chooser: nn.Module) -> Tensor:
    """Give what the drawn actions are worth (n,), later ones chosen by one network and valued by
    the other: both by the target (Mnih et al., 2015), or double (van Hasselt et al., 2016)."""
    later: Tensor = target(batch.next_obs)
    best = (later if chooser is target else chooser(batch.next_obs)).argmax(1)
    return batch.rewards + batch.discounts * later.gather(1, best[:, None])[:, 0]


def dqn(recipe: Recipe, environment: str, run: Run) -> Loop:
    """Train a Q-network; reports the mean return of greedy episodes.

    On the CPU wherever it runs: the network is so small that a GPU would be waited for.
    """
    draws = seed_everything(recipe.seed)
    many = recipe.environments
    with closing(environments.make_vector_env(environment, many)) as envs:
        inputs, actions = environments.get_sizes(envs)
        model = q_network(inputs, recipe.width, actions)
        target = copy.deepcopy(model)
        optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate, fused=True)
        replay = ReplayBuffer(recipe.capacity // many, many, inputs)

        @torch.inference_mode()
        def greedy(observations: np.ndarray) -> np.ndarray:
            answers: np.ndarray = model(torch.from_numpy(observations)).argmax(1).numpy()
            return answers

        def act(observations: np.ndarray, chance: float) -> np.ndarray:
            explores = torch.rand(many, generator=draws).numpy() < chance
            random = torch.randint(actions, (many,), generator=draws).numpy()
            return np.where(explores, random, greedy(observations))

        def learn() -> Tensor:
            batch = replay.sample(recipe.batch_size, recipe.n_step, recipe.gamma, draws)
            wanted = targets(batch, target, model if recipe.double else target)
            value = model(batch.obs).gather(1, batch.actions[:, None])[:, 0]
            loss = F.smooth_l1_loss(value, wanted)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            return torch.stack([loss.detach(), value.detach().mean()])

        environments.show_policy(run, environment, greedy)
        # Not a module to the run: the copy is no part of the trained weights.
        lagging = SimpleNamespace(
            state_dict=target.state_dict, load_state_dict=target.load_state_dict
        )
        owed = run.resume(
            model=model, target=lagging, optimizer=optimizer, replay=replay, generator_states=draws
        )
        per_report = max(1, recipe.steps // recipe.train_every)
        rounds = max(1, round(run.share * per_report))
        for report in owed:
            seeds = environments.draw_training_seeds(recipe.seed, report, many)
            observations, _ = envs.reset(seed=seeds)
            returns, told, chance = environments.EpisodeReturns(many), [torch.zeros(2)], 1.0
            for done in range(rounds):
                progress = (report + done / per_report) / owed.stop
                chance = epsilon(progress, recipe.exploration, recipe.final_epsilon)
                for _ in range(recipe.train_every // many):
                    chosen = act(observations, chance)
                    step = environments.step_envs(envs, chosen)
                    replay.add(observations, chosen, step)
                    returns.add(step)
                    observations = step.obs
                before = (report * per_report + done) * recipe.updates
                for update in range(before, before + recipe.updates):
                    if len(replay) >= recipe.warm_up:
                        told.append(learn())
                    if (update + 1) % recipe.target_every == 0:
                        target.load_state_dict(model.state_dict())
                if run.on_progress is not None:
                    run.on_progress((done + 1) / rounds)
            replay.mark_reset()
            loss, value = torch.stack(told[1:] or told).mean(0).tolist()
            episodes = max(1, round(run.share * recipe.episodes))
            yield {
                **environments.evaluate_policy(environment, greedy, episodes),
                "train_return": returns.mean(),
                "train_loss": loss,
                "mean_value": value,
                "epsilon": chance,
            }
