from __future__ import annotations

import pytest

from ml_intern.services.papers import PaperError, paper_id


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2305.18290", "2305.18290"),
        ("arXiv:2305.18290v2", "2305.18290"),
        ("https://arxiv.org/pdf/2305.18290v1.pdf", "2305.18290"),
        ("https://huggingface.co/papers/2305.18290", "2305.18290"),
        ("cs/0112017", "cs/0112017"),
        ("math.GT/0309136v1", "math.GT/0309136"),
        ("https://arxiv.org/abs/cond-mat.stat-mech/9901001v2", "cond-mat.stat-mech/9901001"),
        ("https://doi.org/10.48550/arXiv.2305.18290", "2305.18290"),
        ("10.48550/arXiv.hep-th/9901001", "hep-th/9901001"),
    ],
)
def test_ids_are_found_in_whatever_they_are_said_in(text: str, found: str) -> None:
    assert paper_id(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attention is all you need", "holds no arXiv id"),
        ("2313.18290", "holds no arXiv id"),  # there is no month 13
        ("https://github.com/a/b/1234567", "holds no arXiv id"),
        ("https://doi.org/10.1234/5612.90123", "is a DOI and no arXiv id"),
    ],
)
def test_what_holds_no_id_is_refused(text: str, said: str) -> None:
    with pytest.raises(PaperError, match=said):
        paper_id(text)
