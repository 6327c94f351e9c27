"""Large corpora outside of memory: texts in Arrow, encoded rows in memory-mapped shards, and the cache of both."""
