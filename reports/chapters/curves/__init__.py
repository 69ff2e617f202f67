"""Training curves of single trials, or of settings repeated over seeds."""
