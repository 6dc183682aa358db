"""The embedded store: a server of Pachyderm 2.12's file-system protocol over one local folder."""
