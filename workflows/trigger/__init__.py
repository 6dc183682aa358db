"""The controller that gives every commit its run."""
