"""Statistics of a report: functions of numbers and arrays that do not depend on a search."""
