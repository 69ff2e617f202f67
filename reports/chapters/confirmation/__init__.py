"""Confirmation: re-runs of the best configurations with new seeds."""
