"""Steps of a training handed to other tools' logs, by setting (train.tracking)."""
