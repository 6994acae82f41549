"""Many tasks: read and checked as a whole, kept in a database, run by workers, each ending exactly once.

Nothing here is imported before a batch is used. Which library does what stands in docs/decisions/0013-batches.md.
"""
