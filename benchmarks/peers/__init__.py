"""What we are measured against, and ourselves: one module each, all with the same two functions."""
