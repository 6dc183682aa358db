"""The SQLite file: schema, connections, transactions and typed rows."""
