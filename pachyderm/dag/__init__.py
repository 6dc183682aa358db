"""The DAG: its repos, branches and provenance, and the moves of branch heads."""
