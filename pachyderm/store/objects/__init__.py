"""Content-addressed blocks, and the trees of pages over them."""
