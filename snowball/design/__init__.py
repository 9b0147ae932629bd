"""Step 2, design: layers and networks."""
