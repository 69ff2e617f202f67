"""One module per chapter of a report, with what chapters share; `order` lists them."""
