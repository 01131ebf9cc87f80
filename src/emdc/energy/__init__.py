"""From readings to what was used: intervals, counters that cannot lie, periods. Pure, all of it."""
