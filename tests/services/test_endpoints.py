from __future__ import annotations

import pytest

from ml_intern.services.endpoints import Endpoints

STAND_IN = {"HF_ENDPOINT": "http://127.0.0.1:9000/", "HF_TOKEN": "hf_secret", "GITHUB_TOKEN": "ghp_secret"}


def test_every_service_has_its_public_address_unless_the_environment_names_another() -> None:
    assert Endpoints({}).url("hub", "api/models") == "https://huggingface.co/api/models"
    assert Endpoints(STAND_IN).url("hub", "/api/models") == "http://127.0.0.1:9000/api/models"
    assert Endpoints({"ARXIV_BASE_URL": "  "}).url("arxiv") == "https://arxiv.org"


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/docs/trl",
        "https://hf.co/x",
        "https://datasets-server.huggingface.co/rows",
        "http://127.0.0.1:9000/api/whoami-v2",
    ],
)
def test_the_token_goes_to_hugging_face_and_its_stand_in(url: str) -> None:
    assert Endpoints(STAND_IN).hf_headers(url) == {"Authorization": "Bearer hf_secret"}


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co.evil.org/docs",
        "https://huggingface.co@evil.org/docs",
        "https://evil.org/huggingface.co",
        "http://huggingface.co/docs",
        "https://huggingface.co:8443/docs",
        "http://127.0.0.1:9001/api",
        "http://127.0.0.1:x/api",
        "https://mia-demo.hf.space/",
        "",
    ],
)
def test_the_token_goes_nowhere_else(url: str) -> None:
    assert Endpoints(STAND_IN).hf_headers(url) == {}


def test_the_token_of_github_goes_to_github_alone() -> None:
    endpoints = Endpoints(STAND_IN)
    assert endpoints.github_headers("https://api.github.com/repos/a/b")["Authorization"] == "Bearer ghp_secret"
    assert "Authorization" not in endpoints.github_headers("https://raw.githubusercontent.com/a/b/main/x.py")
    assert "Authorization" not in Endpoints({}).github_headers("https://api.github.com/repos/a/b")
