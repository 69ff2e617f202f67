"""Data sets as tensors: loading, decoding once per machine, augmentation of batches."""
