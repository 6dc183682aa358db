"""Notifications of what the loop did, by the services that the trigger's settings name."""
