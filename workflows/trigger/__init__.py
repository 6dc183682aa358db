"""The trigger: a level-triggered controller that starts a run for every open output commit."""
