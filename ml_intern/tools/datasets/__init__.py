"""The tool that looks into data sets before anything is trained on them."""
