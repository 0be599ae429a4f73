"""Tools that look things up in the documentation of Hugging Face."""
