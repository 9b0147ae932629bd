"""Step 3, training: pre-flight, the loop, optimisers and schedules, checkpoints.

Called `training`, not `train`: `snowball.train(...)` is the function, and a module of that name would hide it.
"""
