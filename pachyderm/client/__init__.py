"""A connection to Pachyderm: commits, listings, uploads and downloads."""
