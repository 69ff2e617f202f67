"""Restore trained models from their weights, predict with them and explain their predictions."""
