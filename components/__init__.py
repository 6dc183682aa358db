"""The four Kubeflow components and the stages that they run; nothing is imported here, for a running task cannot import a component's definition."""
