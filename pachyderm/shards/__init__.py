"""One output commit computed by several tasks: its datums are cut into shards, and the last shard publishes."""
