"""What people say of what was derived: a queue of doubts, decisions, and what these change."""
