"""One file per kind of problem: `train(config, run)`, a generator of reports."""
