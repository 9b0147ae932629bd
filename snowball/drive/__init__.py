"""The closed loop: a trained network, or the scripted driver, steers a simulated car; needs the extra `sim`."""
