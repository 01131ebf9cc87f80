"""HTTP: the three old endpoints, health, topics and the first page."""
