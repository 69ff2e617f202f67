"""How far back must credit be assigned for a policy to learn to balance a pole?

CartPole-v1 (Barto, Sutton and Anderson, 1983) by PPO. The advantage of an action is estimated
from one-step TD errors (`gae_lambda` 0), from full returns (1), or from a mixture. All other
hyperparameters keep values that work, over several seeds; more `--trials` search them, too. The
task counts as solved at a mean return of 475 of at most 500.
"""

from searchspaces import Published, SearchSpace, Trial, Values, get_defaults
from trainables.tasks import ppo


def suggest(trial: Trial) -> Values:
    """Search rollouts, advantages and optimization."""
    return {
        "gae_lambda": trial.suggest_categorical("gae_lambda", [0.0, 0.8, 0.95, 1.0]),
        "gamma": trial.suggest_categorical("gamma", [0.95, 0.98, 0.99, 0.995]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "schedule": trial.suggest_categorical("schedule", ["linear", "constant"]),
        "rollout": trial.suggest_categorical("rollout", [32, 64, 128, 256]),
        "epochs": trial.suggest_int("epochs", 3, 20),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.3),
        "entropy": trial.suggest_float("entropy", 1e-5, 1e-1, log=True),
        "width": trial.suggest_categorical("width", [32, 64, 128]),
    }


FIXED = get_defaults(ppo.Config, *ppo.SEARCHED)

SPACE = SearchSpace(
    **ppo.task("CartPole-v1"),
    suggest=suggest,
    reports=10,
    min_reports=3,
    compare=("gae_lambda",),
    arms=tuple({**FIXED, "gae_lambda": value} for value in (0.95, 0.0, 1.0)),
    seeds=5,
    published=(
        Published("counts as solved (Gymnasium)", 475.0, "mean return"),
        Published("PPO, RL Baselines3 Zoo", 500.0, "mean return", "100,000 steps, one run"),
    ),
)
