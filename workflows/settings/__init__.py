"""The trigger's configuration: settings, policies and run arguments."""
