"""How networks are trained: data, models, loops, tasks; only two files know of Ray."""
