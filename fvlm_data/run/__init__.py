"""Running the stages: configuration, registry, batches, records of runs, compaction."""
