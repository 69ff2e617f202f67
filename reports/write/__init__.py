"""How a report says things: tables, intervals, figures, files; not whence its numbers."""
