"""Repositories on the Hub: their files, their refs and pull requests, what they are, finding them, filling them."""
