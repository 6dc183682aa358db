"""The container image of the components, by default.

It exists because a lightweight component names an image when it is defined; a run may name another as a parameter.
"""

from importlib.metadata import version

IMAGE = f"ghcr.io/pix2pix-pipelines/pix2pix-python:{version('pix2pix-pipelines')}"
"""Whole image reference. "python" in the name keeps kfp's local runner from warning (kfp 2.17, SubprocessRunner)."""
