"""The chapters of a report, a module or a folder each; `reports.contents` lists them."""
