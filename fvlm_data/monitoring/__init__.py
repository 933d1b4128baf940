"""What tells others of runs: log, metrics, alarms. Nothing is told that bears an identity."""
