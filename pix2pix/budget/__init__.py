"""A training's time budget: what it chooses from the pairs and the speed of this machine."""
