"""Where and in what order trials run, and what is written down about them."""
