"""What a report reads from the tracking server, and the seal on the test set."""
