"""How networks are trained: data, models, loops, tasks; only two files know of Ray."""

from trainables.shadowing import check_packages

check_packages()  # here, since every command of Tunery imports this package
