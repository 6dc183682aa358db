"""A process with the libraries imported, from which local runs and their tasks are forked."""
