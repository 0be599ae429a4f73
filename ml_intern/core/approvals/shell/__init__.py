"""Shell text understood well enough to say what it would do."""
