"""Whose words a call follows: those of the person, or those of a text that came from outside."""
