from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from ml_intern.core.briefing import Briefing
from ml_intern.core.project import trust
from ml_intern.core.skills import MAX_BYTES, SkillError, Skills, _simple
from ml_intern.resources import config_path

BUNDLED = config_path("skills")


def write(place: Path, folder_name: str, body: str = "Do it.", **said: str) -> Path:
    folder = place / folder_name
    folder.mkdir(parents=True)
    head = {"name": folder_name, "description": f"About {folder_name}.", **said}
    lines = "\n".join(f"{key}: {value}" for key, value in head.items() if value)
    (folder / "SKILL.md").write_text(f"---\n{lines}\n---\n\n{body}\n")
    return folder


def skills(directory: Path, bundled: Path | None = None) -> Skills:
    work = directory / "work"
    work.mkdir(exist_ok=True)
    return Skills(bundled or directory / "bundled", directory / "config", work)


def test_simple_front_matter_says_what_yaml_says() -> None:
    choice, compared = random.Random(1), 0
    for _ in range(4000):
        value = "".join(choice.choice("ab Z:#'\"-_.,!&*{}[]|>%@`0trueon\t/(") for _ in range(choice.randrange(1, 9)))
        head = f"{choice.choice(('name', 'no', 'a-b'))}: {value}"
        if (read := _simple(head)) is not None:
            compared += 1
            assert read == yaml.safe_load(head), head
    assert compared > 400
    for place in BUNDLED.glob("*/SKILL.md"):
        head = place.read_text().split("---")[1].strip()
        assert _simple(head) == yaml.safe_load(head)


def test_the_bundled_skills_are_whole_and_small() -> None:
    found = Skills(BUNDLED, Path("/nonexistent"), Path("/nonexistent")).find()
    assert found.warnings == ()
    names = [skill.name for skill in found.skills]
    assert names == [
        *("dpo-trl", "evaluate-models", "grpo-trl"),
        *("publish-datasets", "sft-trl", "trackio-monitoring"),
    ]
    for skill in found.skills:
        assert skill.folder.name == skill.name
        assert 1500 < len(skill.body()) < 6000
        assert len(skill.description) < 250


@pytest.mark.parametrize("skill", Skills(BUNDLED, Path("/nonexistent"), Path("/nonexistent")).find().skills)
def test_the_code_of_the_bundled_skills_is_python(skill: object) -> None:
    body = skill.body()  # type: ignore[attr-defined]  # pytest shows its name only when it is an object
    for piece in body.split("```python\n")[1:]:
        compile(piece.split("```")[0], "skill", "exec")


def test_the_persons_own_skill_comes_before_the_projects_and_that_before_the_bundled_one(tmp_path: Path) -> None:
    places = {
        "bundled": tmp_path / "bundled",
        "project": tmp_path / "work" / ".agents" / "skills",
        "yours": tmp_path / "config" / "skills",
    }
    trust(tmp_path / "config", tmp_path / "work")
    for source, place in places.items():
        write(place, "same", body=source)
        assert skills(tmp_path).get("same").source == source
        assert skills(tmp_path).get("same").body() == source
    assert len(skills(tmp_path).find().skills) == 1


@pytest.mark.parametrize("place", [".ml-intern/skills", ".claude/skills", ".agents/skills"])
def test_a_projects_skills_count_once_it_is_trusted(tmp_path: Path, place: str) -> None:
    (tmp_path / "work" / ".git").mkdir(parents=True)
    write(tmp_path / "work" / place, "theirs")
    inner = tmp_path / "work" / "src"
    inner.mkdir()
    found = Skills(tmp_path / "bundled", tmp_path / "config", inner)
    assert found.find().skills == ()
    assert found.project_root == tmp_path / "work"
    trust(tmp_path / "config", tmp_path / "work")
    assert [skill.source for skill in found.find().skills] == ["project"]


def test_what_lies_above_a_project_is_none_of_its_skills(tmp_path: Path) -> None:
    write(tmp_path / ".claude" / "skills", "outside")
    found = skills(tmp_path)
    trust(tmp_path / "config", tmp_path)
    assert found.find().skills == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# Only a body", "does not begin with front matter"),
        ("---\nname: x\n---\nbody", "no `description`"),
        ("---\nname: Not Good!\ndescription: y\n---\n", "`name` must be lower-case"),
        ("---\nname: x\ndescription: [1, 2]\n---\n", "no `description`"),
        ("---\ndescription: x\n  bad: : y\n---\n", "no YAML in line 3"),
        ("---\nname: x\ndescription: !!python/object/apply:os.getcwd []\n---\n", "no YAML"),
        ("---\n- a\n---\n", "no `description`"),
        ("x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_damaged_skill_is_a_warning_and_the_others_stay(tmp_path: Path, text: str, reason: str) -> None:
    place = tmp_path / "config" / "skills"
    write(place, "good")
    (place / "bad").mkdir()
    (place / "bad" / "SKILL.md").write_text(text)
    found = skills(tmp_path).find()
    assert [skill.name for skill in found.skills] == ["good"]
    (warning,) = found.warnings
    assert reason in warning
    assert str(place / "bad") in warning


def test_what_is_no_text_is_a_warning(tmp_path: Path) -> None:
    folder = write(tmp_path / "config" / "skills", "bytes")
    (folder / "SKILL.md").write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8 text" in skills(tmp_path).find().warnings[0]


def test_a_name_may_be_that_of_the_folder_and_a_description_is_one_plain_line(tmp_path: Path) -> None:
    write(tmp_path / "config" / "skills", "short", name="", description='"two\\nlines \\e[31mred"')
    (skill,) = skills(tmp_path).find().skills
    assert (skill.name, skill.description) == ("short", "two lines red")
    assert skills(tmp_path).listing() == "- short: two lines red"


def test_files_are_those_in_the_folder_and_no_others(tmp_path: Path) -> None:
    folder = write(tmp_path / "config" / "skills", "rich")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "run.py").write_text("print(1)")
    (folder / ".hidden").write_text("x")
    (tmp_path / "secret").write_text("s3cret")
    (folder / "link").symlink_to(tmp_path / "secret")
    skill = skills(tmp_path).get("rich")
    assert skill.files() == ("scripts/run.py",)
    assert skill.file("scripts/run.py") == "print(1)"
    for name in ("link", "../../../secret", str(tmp_path / "secret"), ".hidden"):
        with pytest.raises(SkillError, match=r"its files are: scripts/run\.py"):
            skill.file(name)


# ------------------------------------------------------------------------------------------------ what is told


def briefing(directory: Path) -> Briefing:
    return Briefing(
        config_path("prompts", "system.md").read_text(encoding="utf-8"),
        lambda: ("bash", "skill"),
        workspace=directory / "work",
        config=directory / "config",
        headless=False,
        runtime="local",
        skills=skills(directory),
    )


def test_the_prompt_lists_names_and_descriptions_only(tmp_path: Path) -> None:
    assert "# Skills" not in briefing(tmp_path).system_prompt()
    write(tmp_path / "bundled", "b-skill", body="SECRET BODY")
    write(tmp_path / "bundled", "a-skill")
    prompt = briefing(tmp_path).system_prompt()
    assert "# Skills" in prompt
    assert "- a-skill: About a-skill.\n- b-skill: About b-skill." in prompt
    assert "SECRET BODY" not in prompt
    assert prompt == briefing(tmp_path).system_prompt()


def test_trusting_a_project_tells_of_its_skills_at_once(tmp_path: Path) -> None:
    write(tmp_path / "work" / ".claude" / "skills", "theirs")
    write(tmp_path / "bundled", "ours")
    brief = briefing(tmp_path)
    assert "theirs" not in brief.system_prompt()
    assert brief.hint == (
        f"{tmp_path / 'work'} has instructions for agents (skills); they are not read until you /trust it."
    )
    told = brief.trust()
    assert "- theirs: About theirs." in told
    assert "ours" not in told
    assert brief.hint == ""
    assert "- theirs: About theirs." in brief.system_prompt()
