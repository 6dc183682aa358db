"""The commit graph: projects, repos, branches, commits, provenance and transactions."""
