"""The four stages as pipelines of Pachyderm itself."""
