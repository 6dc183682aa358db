"""The public API: training, models and folders of pictures, for scripts and notebooks."""
