"""Execution of pipelines: in a child process on this machine, or on Kubeflow."""
