"""How the score depends on the hyperparameters: ranges, importance, parallel coordinates."""
