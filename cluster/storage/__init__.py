"""Where a search's files lie: local folders, remote locations, and the copies between them."""
