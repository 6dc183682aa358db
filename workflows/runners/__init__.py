"""Where a pipeline runs: in a child process on this machine, or on Kubeflow."""
