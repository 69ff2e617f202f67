"""How the score depends on the hyperparameters."""
