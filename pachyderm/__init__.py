"""Versioned data: commits in, commits out, over Pachyderm's own protocol; no Kubeflow, no TensorFlow and no pictures."""
