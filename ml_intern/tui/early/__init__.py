"""What is on the screen, and what is done with keys, while the app is being imported. Nothing here needs Textual."""
