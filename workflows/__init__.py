"""The pipelines, the runners that execute them, and the trigger that starts a run for every commit."""
