"""The pages: overview, commits, models, pictures, drawing and upload."""
