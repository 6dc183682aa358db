"""The demo: the whole workflow on procedural facades, and its report."""
