"""What trained networks are for: translate any images, pack a model to give it away, export it, show it."""
