"""Do the conclusions of a report hold at their level? Simulations of all of them."""
