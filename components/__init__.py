"""The four Kubeflow components and the stages that they run; a running task cannot import a component's definition."""
