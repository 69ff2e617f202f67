"""The one way in which durations are written, on the terminal and in reports."""


def format_duration(seconds: float) -> str:
    """Return seconds as 4.5 s, 45 s, 3 min 20 s or 2 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600:,} h {seconds % 3600 // 60:02d} min"
