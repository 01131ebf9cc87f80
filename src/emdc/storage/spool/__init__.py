"""What waits on disk while the database is away. No SQL here: it must work without one."""
