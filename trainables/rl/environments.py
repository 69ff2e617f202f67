"""Gymnasium's games: stepped together for training, played greedily to be judged.

Three sets of seeds never meet: those of training, of the episodes that judge every report, and
of the unseen ones that a finished trial's best policy plays.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainables.errors import UserError
from trainables.predictor import GroundTruth
from trainables.run import Run

if TYPE_CHECKING:
    from gymnasium import Env
    from gymnasium.vector import SyncVectorEnv

UNSEEN = 100  # episodes
FIRST_UNSEEN, FIRST_TRAINING = 1_000_000, 2_000_000  # seeds; those that judge begin at 0
FRAMES, EVERY, COLOURS = 250, 4, 32  # of a GIF: some 50 kB

Policy = Callable[[np.ndarray], np.ndarray]
"""Observations (n, d) float32 to actions (n,) int64."""


class Step(NamedTuple):
    """What n environments answered, a row each.

    Where an episode ended, `observations` holds the next one's first, and `successors` its own
    last. It is `terminated` if it ended by itself; one that ran out of time was left in a state
    that still has a value.
    """

    obs: np.ndarray
    next_obs: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    dones: np.ndarray


class EpisodeReturns:
    """Sums the rewards of n environments' episodes."""

    def __init__(self, environments: int) -> None:
        self.running = np.zeros(environments)
        self.finished: list[float] = []

    def add(self, step: Step) -> None:
        """Count one step of each."""
        self.running += step.rewards
        if step.dones.any():
            self.finished += self.running[step.dones].tolist()
            self.running[step.dones] = 0.0

    def mean(self) -> float:
        """Give the mean return of the finished episodes; if none is, of those under way."""
        return float(np.mean(self.finished or self.running))


def make_env(name: str, **settings: Any) -> Env[Any, Any]:
    """Make one environment; raises UserError where a package for it is missing."""
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
    """Make environments that are stepped together; one that ends begins anew in the same step."""
    make_env(name).close()  # says what is missing
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    makers = [lambda: make_env(name)] * environments
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def build_ground_truth(name: str) -> GroundTruth:
    """Tell which game is played; raises UserError where a package for it is missing."""
    make_env(name).close()
    if importlib.util.find_spec("pygame") is None:
        raise UserError(f"{name} is drawn by pygame: pip install '.[rl]'")
    return GroundTruth(fingerprint=f"{name}, Gymnasium {importlib.metadata.version('gymnasium')}")


def get_sizes(envs: SyncVectorEnv) -> tuple[int, int]:
    """Give how many numbers an observation has, and how many actions there are."""
    observations, actions = envs.single_observation_space, envs.single_action_space
    return int(np.prod(observations.shape or ())), int(actions.n)  # type: ignore[attr-defined]


def draw_training_seeds(seed: int, report: int, environments: int) -> list[int | None]:
    """Give the seeds that a report's environments start from: none that judges a policy.

    Box2D's state cannot be saved, so every report starts afresh, and a resumed one like the rest.
    """
    drawn = np.random.SeedSequence([seed % 2**32, report]).generate_state(environments)
    return [FIRST_TRAINING + int(number) for number in drawn]


def step_envs(envs: SyncVectorEnv, actions: np.ndarray) -> Step:
    """Do one action in each environment."""
    observations, rewards, terminated, truncated, infos = envs.step(actions)
    ended = terminated | truncated
    successors = observations
    if ended.any():
        successors = observations.copy()
        successors[ended] = np.stack(list(infos["final_obs"][ended]))
    return Step(observations, successors, rewards, terminated, ended)


def play_episodes(name: str, policy: Policy, seeds: Sequence[int]) -> np.ndarray:
    """Play an episode from each seed; gives their returns (n,)."""
    with ExitStack() as opened:
        envs = [opened.enter_context(closing(make_env(name))) for _ in seeds]
        starts = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
        observations, returns = np.stack(starts), np.zeros(len(seeds))
        alive = list(range(len(seeds)))
        while alive:
            going = []
            for i, action in zip(alive, policy(observations[alive]), strict=True):
                observations[i], reward, terminated, truncated, _ = envs[i].step(action)
                returns[i] += float(reward)
                if not (terminated or truncated):
                    going.append(i)
            alive = going
    return returns


def evaluate_policy(name: str, policy: Policy, episodes: int) -> dict[str, float]:
    """Play the episodes that judge every report of every trial, always from the same seeds."""
    returns = play_episodes(name, policy, range(episodes))
    return {"mean_return": float(returns.mean()), "worst_return": float(returns.min())}


def show_policy(run: Run, name: str, policy: Policy) -> None:
    """Have the report of the best policy show an episode, and how it does in unseen ones."""
    run.show("episode.gif", lambda path: render_episode(path, name, policy, FIRST_UNSEEN))
    run.show("unseen_episodes.md", lambda path: write_unseen_returns(path, name, policy))


def write_unseen_returns(path: Path, name: str, policy: Policy) -> None:
    """Write how a policy does in episodes that neither trained nor chose it."""
    returns = play_episodes(name, policy, range(FIRST_UNSEEN, FIRST_UNSEEN + UNSEEN))
    low, middle, high = np.percentile(returns, [25, 50, 75])
    path.write_text(
        f"{UNSEEN} greedy episodes of {name} from seeds that neither trained nor chose this "
        f"policy: mean return {returns.mean():.1f} (standard deviation {returns.std(ddof=1):.1f}, "
        f"quartiles {low:.1f}, {middle:.1f} and {high:.1f}, worst {returns.min():.1f}).\n",
        encoding="utf-8",
    )


def render_episode(path: Path, name: str, policy: Policy, seed: int) -> None:
    """Draw one greedy episode as a GIF of half the size, at about its true speed."""
    from PIL import Image

    # pygame would ask for a screen and a sound card; machines that train have neither.
    for device in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(device, "dummy")
    frames: list[Image.Image] = []
    with closing(make_env(name, render_mode="rgb_array")) as env:
        observation, _ = env.reset(seed=seed)
        over, count = False, 0
        while not over and len(frames) < FRAMES:
            if count % EVERY == 0:
                pixels: Any = env.render()
                frames.append(Image.fromarray(pixels).reduce(2).quantize(COLOURS))
            observation, _, terminated, truncated, _ = env.step(policy(observation[None])[0])
            over, count = terminated or truncated, count + 1
        shown = 1000 * EVERY // int(env.metadata["render_fps"])
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown, loop=0)
