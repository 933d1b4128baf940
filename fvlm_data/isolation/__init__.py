"""Work in processes that may die: limits of time and memory, and the search for what breaks them.

It knows no store, stage or scheduler: a function, lists of items, and what became of them.
"""
