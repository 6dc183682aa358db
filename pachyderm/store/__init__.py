"""The embedded store: a Pachyderm 2.12 file-system server over one folder, for when no cluster is given."""
