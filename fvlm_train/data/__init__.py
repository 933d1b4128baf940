"""From shards to training batches: order of samples, crops, windows, texts."""
