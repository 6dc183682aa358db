"""The stages as native Pachyderm pipelines."""
