"""Export, generation and evaluation of trained models."""
