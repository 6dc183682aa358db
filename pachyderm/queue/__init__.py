"""The work queue: open output commits, claims, decisions and ends."""
