"""What became of every trial, when, and why some failed."""
