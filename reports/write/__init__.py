"""Write the parts of a report: tables, intervals, figures and files."""
