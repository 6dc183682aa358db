"""The RPCs of the embedded store and the channels that reach them."""
