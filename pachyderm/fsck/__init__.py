"""The checks of the record and their repairs."""
