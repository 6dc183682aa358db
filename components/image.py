"""The default container image of the components."""

from importlib.metadata import version

IMAGE = f"ghcr.io/pix2pix-pipelines/pix2pix-python:{version('pix2pix-pipelines')}"
"""Full image reference; a lightweight component names its image when it is defined, and a run may override it.

"python" in the name keeps the SubprocessRunner of kfp 2.17 from warning."""
