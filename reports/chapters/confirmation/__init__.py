"""The re-runs of the best configurations on new seeds."""
