"""The durable log of received batches."""
