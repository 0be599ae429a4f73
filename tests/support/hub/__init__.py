"""A stand-in for the Hugging Face Hub: real HTTP on loopback, what is uploaded is stored on disk, jobs really run.

    with StandInHub(tmp_path / "hub") as hub:
        ...  # programs with hub.env() in their environment talk to it through the official client

`python -m tests.support.hub` serves one from the command line.
"""

from tests.support.hub.server import Received, StandInHub

__all__ = ["Received", "StandInHub"]
