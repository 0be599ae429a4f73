from __future__ import annotations

from pathlib import Path

from ml_intern.services.search_index import Listed, SearchIndex


def filled(path: Path, most_ranked: int) -> SearchIndex:
    index = SearchIndex(path, most_ranked=most_ranked)
    pages = {f"https://docs.example/{number}": f"Page {number}" for number in range(19)}
    pages["https://docs.example/models"] = "Models"
    index.list_pages("docs", [Listed(url, title) for url, title in pages.items()])
    for url, title in pages.items():
        index.store("docs", url, f"# {title}\n\nHere a model is trained, and the model is kept.")
    return index


def test_what_is_called_by_a_word_is_found_however_many_others_have_it(tmp_path: Path) -> None:
    few, many = filled(tmp_path / "few.db", most_ranked=5), filled(tmp_path / "many.db", most_ranked=100)
    assert few.search(["docs"], "model", 4)[0].title == many.search(["docs"], "model", 4)[0].title == "Models"
    assert len(few.search(["docs"], "model", 20)) == 6, "five are weighed, and one is named so"
    assert len(many.search(["docs"], "model", 20)) == 20
    assert few.search(["docs"], "kept nowhere", 20), "words that no passage has all of are looked for one by one"


def test_the_rare_word_of_a_sentence_is_found_however_common_the_others_are(tmp_path: Path) -> None:
    index = filled(tmp_path / "search.db", most_ranked=5)
    index.list_pages("more", [Listed("https://docs.example/lora", "Adapters")])
    index.store("more", "https://docs.example/lora", "# Adapters\n\nLow-rank adaptation, LoRA for short.")
    found = index.search(["docs", "more"], "how is a model trained with LoRA", 4)
    assert found[0].title == "Adapters"
    assert found[1].title == "Models", "then those that are named by one of the words"
    assert len(found) == 4


def test_a_heading_is_named_by_the_parts_of_its_names_and_shown_without_them(tmp_path: Path) -> None:
    index = filled(tmp_path / "search.db", most_ranked=5)
    index.list_pages("api", [Listed("https://docs.example/api", "API")])
    index.store("api", "https://docs.example/api", "# API\n\nClasses.\n\n## ModelConfig[[trl.ModelConfig]]\n\nFields.")
    titles = [(hit.title, hit.heading) for hit in index.search(["docs", "api"], "model", 4)[:2]]
    assert sorted(titles) == [("API", "ModelConfig"), ("Models", "Models")]
