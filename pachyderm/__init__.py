"""Versioned data: commits in, commits out, over Pachyderm's protocol; no Kubeflow, no TensorFlow, no pictures."""
