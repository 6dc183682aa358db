"""Pachyderm's wire protocol: the channel and the messages."""
