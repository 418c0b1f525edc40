"""The durable queue of outputs on their way to the stores."""
