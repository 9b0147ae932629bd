"""Step 1, collect: read what the user has into a Table, split it, encode it, and say what is wrong with it."""
