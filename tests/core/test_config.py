from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ml_intern.core.config import BUNDLED, COMMAND_LINE, DEFAULT, USER_FILE, ConfigError, LoadedConfig, load_config
from ml_intern.core.config_desk import ConfigDesk
from ml_intern.core.places import Places, find_places
from ml_intern.core.user_config import objection_to, reset_user_setting, save_user_setting


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return find_places({"ML_INTERN_HOME": str(tmp_path / "home")})


def write(places: Places, content: object) -> Path:
    path = places.config / USER_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def load(places: Places, **env: str) -> LoadedConfig:
    return load_config(places, env)


def complaint(places: Places, content: object, **env: str) -> str:
    write(places, content)
    with pytest.raises(ConfigError) as caught:
        load(places, **env)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_user_file_the_bundled_one_decides(places: Places) -> None:
    loaded = load(places)
    assert loaded.settings.model_name == "anthropic/claude-opus-4-8"
    assert loaded.settings.mode == "guarded"
    assert loaded.sources["model_name"] == BUNDLED
    assert loaded.warnings == ()


def test_user_file_is_merged_key_by_key(places: Places) -> None:
    path = write(places, {"max_iterations": 7, "approvals": {"deny": ["bash(rm *)"]}, "llm": {"max_attempts": 2}})
    loaded = load(places)
    assert loaded.settings.max_iterations == 7
    assert loaded.settings.approvals.deny == ("bash(rm *)",)
    assert loaded.settings.llm.max_attempts == 2
    assert loaded.settings.llm.idle_timeout_s == 120.0
    assert loaded.settings.model_name == "anthropic/claude-opus-4-8"
    assert loaded.sources["llm.max_attempts"] == str(path)
    assert loaded.sources["approvals.allow"] == BUNDLED


def test_command_line_beats_every_file(places: Places) -> None:
    write(places, {"model_name": "vllm/a", "max_iterations": 5})
    loaded = load_config(places, {}, overrides={"model_name": "vllm/b", "ui.theme": "dark"})
    assert (loaded.settings.model_name, loaded.settings.max_iterations) == ("vllm/b", 5)
    assert loaded.settings.ui.theme == "dark"
    assert loaded.sources["model_name"] == COMMAND_LINE


def test_every_setting_is_explained_with_its_source(places: Places) -> None:
    path = write(places, {"stream": False})
    rows = {key: (value, source) for key, value, source in load(places).explain()}
    assert rows["stream"] == (False, str(path))
    assert rows["llm.retry_max_s"] == (60.0, DEFAULT)
    assert rows["tool_runtime"] == ("local", BUNDLED)


def test_variables_are_substituted_with_defaults(places: Places) -> None:
    write(
        places,
        {
            "model_name": "vllm/${NAME:-qwen}-${SIZE}",
            "max_iterations": "${ROUNDS:-12}",
            "approvals": {"deny": ["read(${EMPTY:-x}*)", "$HOME", "${LEFT:-}", "bash(${X:1})"]},
        },
    )
    settings = load(places, SIZE="8b", EMPTY="").settings
    assert settings.model_name == "vllm/qwen-8b"
    assert settings.max_iterations == 12
    assert settings.approvals.deny == ("read(*)", "$HOME", "", "bash(${X:1})")


def test_missing_variable_is_named_with_its_key_and_file(places: Places) -> None:
    text = complaint(places, {"mcpServers": {"x": {"headers": {"Authorization": "Bearer ${NOPE}"}}}})
    assert "NOPE" in text
    assert "mcpServers.x.headers.Authorization" in text
    assert USER_FILE in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"max_iteration": 3}, ["unknown key max_iteration", "nearest", "max_iterations"]),
        ({"llm": {"max_atempts": 3}}, ["unknown key llm.max_atempts", "llm.max_attempts"]),
        ({"allow": ["bash"]}, ["unknown key allow", "nearest known one is approvals.allow"]),
        ({"llm": {"theme": "dark"}}, ["unknown key llm.theme", "nearest known one is ui.theme"]),
        ({"model_name": "vllm/${NAME:qwen}"}, ["model_name holds ${NAME:qwen}", "written ${NAME:-qwen}"]),
        ({"max_iterations": 0}, ["max_iterations", "greater than or equal to 1"]),
        ('{"max_cost_usd": Infinity}', ["max_cost_usd", "finite"]),
        ({"mode": "wild"}, ["mode", "guarded"]),
        ({"tool_runtime": "cloud"}, ["tool_runtime", "sandbox"]),
        ({"approvals": ["x"]}, ["approvals", "dictionary"]),
        ('{"mode": "ask",\n  "stream": }', ["not valid JSON", "line 2, column 13"]),
        ("[1]", ["must hold a JSON object"]),
        ("", ["not valid JSON", "line 1"]),
        ("[" * 100_000, ["nested too deeply"]),
    ],
)
def test_mistakes_are_one_line_that_names_file_and_reason(places: Places, content: object, words: list[str]) -> None:
    text = complaint(places, content)
    assert USER_FILE in text
    for word in words:
        assert word in text


def test_several_mistakes_are_counted(places: Places) -> None:
    assert "1 more" in complaint(places, {"mode": "wild", "stream": "perhaps"})


def test_file_that_is_not_utf8_is_named(places: Places) -> None:
    path = write(places, "{}")
    path.write_bytes(b'{"model_name": "\xff"}')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(places)


def test_directory_in_place_of_the_file_is_named(places: Places) -> None:
    (places.config / USER_FILE).mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load(places)


def test_byte_order_mark_is_accepted(places: Places) -> None:
    write(places, "\ufeff" + json.dumps({"max_iterations": 4}))
    assert load(places).settings.max_iterations == 4


def test_named_file_must_exist(places: Places, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ML_INTERN_CLI_CONFIG names .*nowhere\.json"):
        load(places, ML_INTERN_CLI_CONFIG=str(tmp_path / "nowhere.json"))
    with pytest.raises(ConfigError, match=r"--config names .*nowhere\.json"):
        load_config(places, {}, config_file=tmp_path / "nowhere.json")


def test_named_file_takes_the_place_of_the_usual_one(places: Places, tmp_path: Path) -> None:
    write(places, {"max_iterations": 5})
    by_variable, by_flag = tmp_path / "variable.json", tmp_path / "flag.json"
    by_variable.write_text('{"stream": false}')
    by_flag.write_text('{"mode": "ask"}')
    env = {"ML_INTERN_CLI_CONFIG": str(by_variable)}
    first = load_config(places, env).settings
    assert (first.stream, first.max_iterations) == (False, 300)
    second = load_config(places, env, config_file=by_flag).settings
    assert (second.stream, second.mode) == (True, "ask")


def test_keys_of_earlier_versions_are_mapped_or_named(places: Places) -> None:
    write(places, {"yolo_mode": True, "share_traces": True, "heartbeat_interval_s": 60, "reasoning_effort": None})
    loaded = load(places)
    assert loaded.settings.mode == "yolo"
    assert loaded.settings.reasoning_effort == "off"
    assert any("heartbeat_interval_s, share_traces have no effect" in warning for warning in loaded.warnings)
    assert any("yolo_mode" in warning for warning in loaded.warnings)


def test_null_takes_a_server_away(places: Places) -> None:
    write(places, {"mcpServers": {"docs": {"url": "http://127.0.0.1:1"}, "gone": None}})
    assert load(places).settings.mcpServers == {"docs": {"url": "http://127.0.0.1:1"}}


def test_saving_a_setting_keeps_the_other_keys(places: Places) -> None:
    path = write(places, {"model_name": "vllm/${NAME:-a}", "ui": {"theme": "old", "approval_grace_s": 1}})
    assert save_user_setting(places, "ui.theme", "new", file=path) == path
    assert json.loads(path.read_text()) == {
        "model_name": "vllm/${NAME:-a}",
        "ui": {"theme": "new", "approval_grace_s": 1},
    }
    assert load(places).settings.ui.theme == "new"


def test_saving_makes_a_private_file_where_there_is_none(places: Places) -> None:
    path = save_user_setting(places, "mode", "ask", file=places.config / USER_FILE)
    assert load(places).settings.mode == "ask"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [USER_FILE]


def test_saving_refuses_what_could_not_be_loaded(places: Places) -> None:
    path = write(places, {"mode": "ask"})
    with pytest.raises(ConfigError, match=r"ui\.theme"):
        save_user_setting(places, "ui.thme", "x", file=path)
    with pytest.raises(ConfigError, match="mode"):
        save_user_setting(places, "mode", "wild", file=path)
    assert json.loads(path.read_text()) == {"mode": "ask"}


def test_saving_never_overwrites_a_broken_file(places: Places) -> None:
    path = write(places, "{ broken")
    with pytest.raises(ConfigError, match="not valid JSON"):
        save_user_setting(places, "mode", "ask", file=path)
    assert path.read_text() == "{ broken"


def test_saving_through_a_symlink_keeps_the_link(places: Places, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    real.chmod(0o644)
    link = places.config / USER_FILE
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    save_user_setting(places, "mode", "plan", file=link)
    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"mode": "plan"}
    assert stat.S_IMODE(real.stat().st_mode) == 0o644


def test_pipe_in_place_of_the_file_is_not_waited_for(places: Places) -> None:
    path = places.config / USER_FILE
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="no regular file"):
        load(places)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_named(places: Places) -> None:
    write(places, "{}").chmod(0)
    with pytest.raises(ConfigError, match="permission denied"):
        load(places)


def test_taking_a_value_out_leaves_the_others_and_no_empty_objects(places: Places) -> None:
    path = write(places, {"ui": {"theme": "nord", "bell": False}, "keys": {"jobs.cancel": "f9"}, "stream": False})
    reset_user_setting(places, "ui.theme")
    reset_user_setting(places, ("keys", "jobs.cancel"))
    reset_user_setting(places, "web.timeout_s")
    assert json.loads(path.read_text()) == {"ui": {"bell": False}, "stream": False}


def test_a_key_with_dots_is_one_key(places: Places) -> None:
    path = save_user_setting(places, ("keys", "jobs.cancel"), "f9")
    assert json.loads(path.read_text()) == {"keys": {"jobs.cancel": "f9"}}
    assert load(places).settings.keys == {"jobs.cancel": "f9"}


def test_a_change_may_be_right_only_together_with_what_stands_in_the_file(places: Places) -> None:
    with pytest.raises(ConfigError, match="names nobody to tell"):
        save_user_setting(places, "messaging.enabled", True)
    write(places, {"messaging": {"destinations": {"team": {"token": "${TOKEN}", "channel": "#runs"}}}})
    save_user_setting(places, "messaging.enabled", True)
    assert load(places, TOKEN="t").settings.messaging.enabled


def test_what_was_configured_is_told_apart_from_what_comes_with_the_program(places: Places) -> None:
    write(places, {"max_cost_usd": 3, "jobs": {"namespace": "${TEAM}"}, "approvals": {"deny": ["bash(${NO})"]}})
    loaded = load(places, TEAM="acme", NO="rm *")
    assert loaded.settings.jobs.namespace == "acme"
    assert loaded.references == {"jobs.namespace": "${TEAM}", "approvals.deny": ["bash(${NO})"]}
    assert loaded.standard.max_cost_usd is None
    assert loaded.standard.model_name == "anthropic/claude-opus-4-8"


@pytest.mark.parametrize(
    ("key", "value", "objection"),
    [
        ("tools.parallel", 8, ""),
        ("tools.parallel", 65, "input should be less than or equal to 64."),
        ("mode", "wild", "input should be 'guarded', 'ask', 'plan' or 'yolo'."),
        ("sharing.repo", "a b", "this does not have the right form."),
        ("approvals.allow", ("bash(ls)",), ""),
    ],
)
def test_a_value_is_judged_in_words(key: str, value: object, objection: str) -> None:
    assert objection_to(key, value) == objection


def test_the_desk_changes_the_file_that_was_named_and_knows_the_flags(places: Places, tmp_path: Path) -> None:
    named = tmp_path / "mine.json"
    named.write_text('{"mode": "ask"}')
    desk = ConfigDesk(places, {}, named, {"mode": "plan"})
    assert desk.load().settings.mode == "plan"
    changed = desk.save("max_cost_usd", 2.5)
    assert (changed.settings.max_cost_usd, changed.sources["max_cost_usd"]) == (2.5, str(named))
    assert desk.reset("mode").sources["mode"] == COMMAND_LINE
    assert json.loads(named.read_text()) == {"max_cost_usd": 2.5}
    with pytest.raises(ConfigError, match=r"max_cost_usd"):
        desk.save("max_cost_usd", -1)
    assert json.loads(named.read_text()) == {"max_cost_usd": 2.5}


def test_messaging_of_the_user_file_counts(places: Places) -> None:
    slack = {"provider": "slack", "token": "t", "channel": "#runs", "allow_auto_events": True}
    write(places, {"messaging": {"enabled": True, "destinations": {"team": slack}}})
    loaded = load(places)
    assert loaded.warnings == ()
    assert loaded.settings.messaging.destinations["team"].channel == "#runs"
