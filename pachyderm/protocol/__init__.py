"""Pachyderm's wire protocol: channels and messages."""
