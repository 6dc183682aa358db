"""The pipelines, the runners that start them and the trigger that decides which to start."""
