"""Settings of every test process, as the command line makes them."""

from __future__ import annotations

from pix2pix.tensorflow import configure_tensorflow

configure_tensorflow()
