"""The arithmetic of a report: functions of numbers and arrays, which know nothing of a search."""
