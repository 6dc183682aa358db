"""Export, generation and evaluation of a trained model."""
