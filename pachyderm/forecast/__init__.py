"""What open commits, or files about to be put, will cause; nothing is written."""
