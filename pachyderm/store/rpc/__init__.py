"""The RPCs of the embedded store, and its channels: a gRPC server and an in-process channel."""
