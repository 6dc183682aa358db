"""The Kubeflow components and the stages that they run."""
