"""The outcome of every trial, when it ran, and why some failed."""
