"""Learning curves, of single trials and by arm."""
