"""Data sets, splits, the decoded cache and the batches."""
