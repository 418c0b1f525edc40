"""The gateway: readings in, features, scores and alerts out; nothing acknowledged before it is durable."""
