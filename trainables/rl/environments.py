"""Gymnasium environments: stepped as a vector for training, played greedily for evaluation.

Three disjoint sets of seeds are used: for training, for the episodes that evaluate every report,
and for the unseen episodes that evaluate a finished trial's best policy.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from trainables.errors import UserError
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Run

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import SyncVectorEnv

UNSEEN = 100  # episodes
FIRST_UNSEEN, FIRST_TRAINING = 1_000_000, 2_000_000  # seeds; those of evaluation begin at 0
MAX_FRAMES, FRAME_SKIP, COLORS = 250, 4, 32  # of a GIF: about 50 kB

Policy = Callable[[np.ndarray], np.ndarray]
"""Maps obs (n, d) float32 to actions (n,) int64."""


class Step(NamedTuple):
    """The results of one step of n environments, a row each.

    `next_obs` follow the actions. `obs` are those to act on next: where an episode is done, the
    first of the next episode. `dones` are `terminated` or truncated; the last state of a
    truncated episode still has a value.
    """

    obs: np.ndarray
    next_obs: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    dones: np.ndarray


class Episodes(NamedTuple):
    """What episodes ended with, (n,) each: returns, and lengths in steps."""

    returns: np.ndarray
    lengths: np.ndarray


class EpisodeReturns:
    """Sums the rewards of the episodes of n environments."""

    def __init__(self, environments: int) -> None:
        self.running = np.zeros(environments)
        self.finished: list[float] = []

    def add(self, step: Step) -> None:
        """Add one step of every environment."""
        self.running += step.rewards
        if step.dones.any():
            self.finished += self.running[step.dones].tolist()
            self.running[step.dones] = 0.0

    def mean(self) -> float:
        """Return the mean return of the finished episodes; without any, of the running ones."""
        return float(np.mean(self.finished or self.running))


def make_env(name: str, **settings: Any) -> Env[Any, Any]:
    """Make an environment; raises UserError if a package for it is missing."""
    message = f"{name} needs packages that are not installed: pip install '.[rl]'"
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import gymnasium
    except ImportError as error:
        raise UserError(message) from error
    try:
        return gymnasium.make(name, disable_env_checker=True, **settings)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(message) from error


def make_vector_env(name: str, environments: int) -> SyncVectorEnv:
    """Make a vector of environments; a done one is reset in the same step."""
    make_env(name).close()  # raises UserError if a package is missing
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    makers = [lambda: make_env(name)] * environments
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def build_ground_truth(name: str) -> GroundTruth:
    """Return the identity of an environment; raises UserError if a package for it is missing."""
    make_env(name).close()
    if importlib.util.find_spec("pygame") is None:
        raise UserError(f"{name} needs pygame for rendering: pip install '.[rl]'")
    return GroundTruth(fingerprint=f"{name}, Gymnasium {importlib.metadata.version('gymnasium')}")


def get_sizes(envs: SyncVectorEnv) -> tuple[int, int]:
    """Return the size of an observation and the number of actions."""
    obs, actions = envs.single_observation_space, envs.single_action_space
    return int(np.prod(obs.shape or ())), int(actions.n)  # type: ignore[attr-defined]


def find_sizes(name: str) -> tuple[int, int]:
    """Return the size of an observation and the number of actions of an environment."""
    with closing(make_vector_env(name, 1)) as envs:
        return get_sizes(envs)


@torch.inference_mode()
def select_best(network: nn.Module, obs: np.ndarray) -> np.ndarray:
    """Return the actions (n,) with the largest outputs of a network for obs (n, d) float32."""
    best: np.ndarray = network(torch.from_numpy(obs)).argmax(1).numpy()
    return best


def build_agent(name: str, network: nn.Module) -> Predictor:
    """Return a trained network as a Predictor: obs (n, d) float32 -> actions (n,)."""
    example = np.zeros((1, find_sizes(name)[0]), np.float32)
    return Predictor(partial(select_best, network), example, environment=name)


def draw_training_seeds(seed: int, report: int, environments: int) -> list[int | None]:
    """Return the seeds of a report's training environments, disjoint from those of evaluation.

    The state of Box2D cannot be saved. Every report, resumed or not, resets its environments.
    """
    drawn = np.random.SeedSequence([seed % 2**32, report]).generate_state(environments)
    return [FIRST_TRAINING + int(number) for number in drawn]


def step_envs(envs: SyncVectorEnv, actions: np.ndarray) -> Step:
    """Take one action in each environment."""
    obs, rewards, terminated, truncated, infos = envs.step(actions)
    dones = terminated | truncated
    next_obs = obs
    if dones.any():
        next_obs = obs.copy()
        next_obs[dones] = np.stack(list(infos["final_obs"][dones]))
    return Step(obs, next_obs, rewards, terminated, dones)


def play_episodes(name: str, policy: Policy, seeds: Sequence[int]) -> Episodes:
    """Play an episode from each seed."""
    with ExitStack() as stack:
        envs = [stack.enter_context(closing(make_env(name))) for _ in seeds]
        starts = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
        obs, returns = np.stack(starts), np.zeros(len(seeds))
        lengths = np.zeros(len(seeds), np.int64)
        running = list(range(len(seeds)))
        while running:
            remaining = []
            for i, action in zip(running, policy(obs[running]), strict=True):
                obs[i], reward, terminated, truncated, _ = envs[i].step(action)
                returns[i] += float(reward)
                lengths[i] += 1
                if not (terminated or truncated):
                    remaining.append(i)
            running = remaining
    return Episodes(returns, lengths)


def evaluate_policy(name: str, policy: Policy, episodes: int) -> dict[str, float]:
    """Evaluate a policy in episodes whose seeds are the same for every report of every trial."""
    returns = play_episodes(name, policy, range(episodes)).returns
    return {"mean_return": float(returns.mean()), "worst_return": float(returns.min())}


def show_policy(run: Run, name: str, policy: Policy) -> None:
    """Add an episode of the best policy, and its returns in unseen episodes, to the report."""
    run.add_artifact("episode.gif", lambda path: render_episode(path, name, policy, FIRST_UNSEEN))
    run.add_artifact("unseen_episodes.md", lambda path: write_unseen_returns(path, name, policy))


def write_unseen_returns(path: Path, name: str, policy: Policy) -> None:
    """Write a policy's returns in episodes used neither for training nor for selection."""
    seeds = range(FIRST_UNSEEN, FIRST_UNSEEN + UNSEEN)
    returns = play_episodes(name, policy, seeds).returns
    low, middle, high = np.percentile(returns, [25, 50, 75])
    path.write_text(
        f"{UNSEEN} greedy episodes of {name} with seeds used neither for training nor for "
        f"selection: mean return {returns.mean():.1f} "
        f"(standard deviation {returns.std(ddof=1):.1f}, "
        f"quartiles {low:.1f}, {middle:.1f} and {high:.1f}, worst {returns.min():.1f}).\n",
        encoding="utf-8",
    )


def render_episode(path: Path, name: str, policy: Policy, seed: int) -> None:
    """Render one greedy episode as a GIF of half the size, at about real speed."""
    from PIL import Image

    # pygame needs a screen and a sound card, which training machines do not have.
    for device in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(device, "dummy")
    frames: list[Image.Image] = []
    with closing(make_env(name, render_mode="rgb_array")) as env:
        obs, _ = env.reset(seed=seed)
        done, count = False, 0
        while not done and len(frames) < MAX_FRAMES:
            if count % FRAME_SKIP == 0:
                pixels: Any = env.render()
                frames.append(Image.fromarray(pixels).reduce(2).quantize(COLORS))
            obs, _, terminated, truncated, _ = env.step(policy(obs[None])[0])
            done, count = terminated or truncated, count + 1
        duration = 1000 * FRAME_SKIP // int(env.metadata["render_fps"])
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=duration, loop=0)
