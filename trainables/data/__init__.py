"""Data sets as tensors: found, decoded once per machine, augmented by the batch."""
