"""The repos, branches and provenance of the project, and the moves of their heads."""
