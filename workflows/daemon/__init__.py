"""Support of a long-running process: leader election, signals and JSON logs."""
