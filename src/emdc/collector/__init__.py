"""When meters are read, and where their readings go."""
