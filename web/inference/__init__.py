"""The model in use, loaded, batched and served to pages and programs."""
