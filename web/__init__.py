"""The web application: watch the loop, compare and promote models, look at pictures, draw, and call the model."""
