"""The SQLite file: schema, transactions and rows."""
