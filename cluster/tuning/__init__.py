"""One search from start to end: open or resume it, run its trials, confirm, summarize."""
