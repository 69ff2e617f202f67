"""Where trials run: Ray's workers, the machines they need, and what becomes of a failure."""
