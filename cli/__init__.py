"""The `pix2pix` command."""
