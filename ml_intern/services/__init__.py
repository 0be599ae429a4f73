"""Clients of the outside world that several tools share. Base URLs come from the environment of the run."""
