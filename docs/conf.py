"""Configuration of the documentation site; `make docs` builds it."""

project = "pix2pix pipelines"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = project
exclude_patterns = ["_build"]
