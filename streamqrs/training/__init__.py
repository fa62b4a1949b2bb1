"""Training: the only part of streamqrs that needs torch."""
