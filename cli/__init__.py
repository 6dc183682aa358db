"""The command line: one command, `pix2pix`."""
