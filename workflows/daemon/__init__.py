"""What a long-running trigger needs: leadership, signals and JSON logs."""
