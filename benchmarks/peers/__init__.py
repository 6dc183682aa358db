"""The contenders, ours included: one module each, with the functions `step` and `generate`."""
