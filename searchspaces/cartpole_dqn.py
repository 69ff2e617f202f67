"""What do double Q-learning and longer returns add to Q-learning that balances a pole?

CartPole-v1 (Barto, Sutton and Anderson, 1983) by deep Q-learning: as in 2015, with double
Q-learning (van Hasselt et al., 2016), and also with returns over three steps (as in Hessel et
al., 2018). All other hyperparameters keep values that work, over several seeds; more `--trials`
search them, too. The task counts as solved at a mean return of 475 of at most 500.
"""

from searchspaces import Published, SearchSpace, Trial, Values, get_defaults
from trainables.tasks import dqn


def suggest(trial: Trial) -> Values:
    """Search exploration, returns, replay and optimization."""
    return {
        "double": trial.suggest_categorical("double", [False, True]),
        "n_step": trial.suggest_categorical("n_step", [1, 3, 5]),
        "gamma": trial.suggest_categorical("gamma", [0.98, 0.99, 0.995]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "train_every": trial.suggest_categorical("train_every", [16, 64, 256]),
        "updates": trial.suggest_categorical("updates", [16, 32, 64, 128]),
        "target_every": trial.suggest_int("target_every", 32, 1024, log=True),
        "exploration": trial.suggest_float("exploration", 0.05, 0.5),
        "final_epsilon": trial.suggest_float("final_epsilon", 0.01, 0.1),
        "width": trial.suggest_categorical("width", [64, 128, 256]),
    }


PLAIN = {"double": False, "n_step": 1}
FIXED = get_defaults(dqn.Config, *dqn.SEARCHED)

SPACE = SearchSpace(
    **dqn.task("CartPole-v1"),
    suggest=suggest,
    reports=10,
    min_reports=3,
    compare=("double", "n_step"),
    arms=(
        {**FIXED, "double": True, "n_step": 3},
        {**FIXED, "double": True, "n_step": 1},
        {**FIXED, **PLAIN},
    ),
    seeds=5,
    published=(
        Published("counts as solved (Gymnasium)", 475.0, "mean return"),
        Published("DQN, RL Baselines3 Zoo", 500.0, "mean return", "50,000 steps, one run", PLAIN),
    ),
)
