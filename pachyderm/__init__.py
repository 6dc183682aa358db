"""Versioned data on Pachyderm's protocol: commits in, commits out. Independent of Kubeflow, TensorFlow and images."""
