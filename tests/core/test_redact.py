from __future__ import annotations

import base64
import json
import random
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_intern.core.redact import REDACTED, WITHHELD, Redactor
from ml_intern.core.stream_text import Sieve

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

KEPT = [
    "max_token: 512",
    "pad_token = eos_token",
    "tokenizer.pad_token = tokenizer.eos_token",
    "tokens=4",
    "token_type_ids",
    'eos_token = "<eos>"',
    "eos_token = <eos>",
    'DEFAULT_PAD_TOKEN = "[PAD]"',
    "MAX_TOKEN=512",
    'token: str = "abc"',
    "def connect(password: str) -> None:",
    "client(api_key=api_key)",
    'api_key = os.environ["OPENAI_API_KEY"]',
    'os.getenv("OPENAI_API_KEY")',
    "export HF_TOKEN=$HF_TOKEN",
    "export HF_TOKEN=<your-hugging-face-token>",
    "load(path, token=True, use_auth_token=args.token)",
    "next_token = logits.argmax(-1)",
    '{"token": 464, "type": "bos"}',
    '{"secrets": {"HF_TOKEN": "$HF_TOKEN"}}',
    'token="▁Paris"',
    "for token in tokens:\n    key = tokenizer.decode(token)",
    "secret = get_secret()",
    '["HF_TOKEN", "OPENAI_API_KEY"]',
    'input("Password: ")',
    'f"api_key: {key}"',
    '{"password": {"type": "string"}}',
    "--max-token 512",
    "the token is wrong, the password too, and the api key is missing",
    "task-some-long-hyphenated-name-of-a-thing-that-goes-on-and-on",
    'sort_key="accuracy_on_validation_set_1"',
    'monkey="banana123456789012345"',
    "https://host:8080/path@x",
    "https://user:{password}@host",
    "the password authentication_of_everybody_here is long",
    "num_key_value_heads: 8, primary_key=True, hf_hub_download",
]

CAUGHT = [
    ('HF_TOKEN="abc"', "abc"),
    ("API_KEY='xyz'", "xyz"),
    ('{"HF_TOKEN": "abc"}', "abc"),
    ("HF_TOKEN=abc", "abc"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "MDENG"),
    ("xoxb-1234567890-abcdefghij", "abcdefghij"),
    ("hf_abcdefghijklmnopqrstuvwxyz123", "abcdefgh"),
    ("sk-ant-api03-abcdefghijklmnopqrst", "abcdefgh"),
    ("sk-proj-abcdefgh12345678", "abcdefgh"),
    ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "abcdefgh"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("postgres://user:hunter2@db/x", "hunter2"),
    ("https://abcdefghij0123456789@github.com/x", "abcdefghij"),
    ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "abcdefgh"),
    ("password: hunter2", "hunter2"),
    ('"password": "correct"', "correct"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefgh"),
    ('os.environ["HF_TOKEN"] = "abcdef"', "abcdef"),
    ('os.environ.setdefault("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")', "abcdef"),
    ("curl --api-key abc123def", "abc123"),
    ('api_key: str = "abc123"', "abc123"),
    ('{apiKey: "abc123"}', "abc123"),
    ("DB_PASSWORD=pa55,word", "word"),
    ('token = "0123456789abcdef0123456789abcdef01234567"', "abcdef"),
    ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop", "abcdefgh"),
    ('curl "https://x/y?api_key=abc123def&z=1"', "abc123"),
    ("https://hooks.slack.com/services/T000/B000/abcdefghijkl", "abcdefgh"),
    ("\x1b[01;31m\x1b[Ksk-proj-abcdefgh12345678\x1b[0m", "abcdefgh"),
    ("\x1b[31mAKIAIOSFODNN7EXAMPLE\x1b[0m", "IOSFODNN7"),
    ("\u00e9gsk_abcdefghijklmnopqrstuvwxyz", "abcdefgh"),
    ("?to=%2Fx%3Fkey%3Dsk-proj-abcdefgh12345678", "abcdefgh"),
    ("login me\n  password 0123456789abcdef0123456789abcdef01234567", "abcdef"),
    ("b'\\x00AKIAIOSFODNN7EXAMPLE'", "IOSFODNN7"),
    ("\x1b[1meyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop", "abcdefgh"),
]

PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + ("MIIEabc+/" * 7 + "\n") * 4 + "-----END RSA PRIVATE KEY-----"


def nested(text: str) -> str:
    """The text as it stands in a log: a string inside JSON arguments that are a string themselves."""
    return json.dumps({"arguments": json.dumps({"command": f"cd /x\n{text}\nls"})})


@pytest.mark.parametrize("text", KEPT)
def test_text_about_machine_learning_stays(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.text(nested(text)) == nested(text)


@pytest.mark.parametrize(("text", "secret"), CAUGHT)
def test_secrets_go_from_plain_and_from_json_text(text: str, secret: str) -> None:
    assert secret in text
    redactor = Redactor()
    clean = redactor.text(text)
    assert secret not in clean
    assert "[REDACTED" in clean
    inside = redactor.text(nested(text))
    assert secret not in inside
    command = json.loads(json.loads(inside)["arguments"])["command"]
    assert command.startswith("cd /x\n")
    assert command.endswith("\nls")


@pytest.mark.parametrize("text", [PRIVATE_KEY, PRIVATE_KEY[:120], PRIVATE_KEY.replace("\n", "\nProc-Type: 4\n", 1)])
def test_private_keys_go_whole_or_cut_off(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(f"before {text}") == "before [REDACTED_PRIVATE_KEY]"
    assert json.loads(redactor.text(json.dumps(text))) == "[REDACTED_PRIVATE_KEY]"


TOKENS = [
    "hf_" + ALNUM[20:54],
    "ghp_" + ALNUM[-36:],
    "sk-ant-api03-" + ALNUM + "_-AA",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + ALNUM[:35],
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("before", ["", "a", "u:", "user:"])
def test_tokens_of_a_known_look_go_from_base64_and_hex_whole_or_in_pieces(token: str, before: str) -> None:
    data = f"{before}{token}\n".encode()
    for encoded in (base64.b64encode(data).decode(), base64.encodebytes(data).decode(), data.hex(), data.hex().upper()):
        text = f"It says {encoded} there."
        clean = Redactor().text(text)
        assert clean.startswith("It says ")
        assert clean.endswith(" there.")
        assert "[REDACTED_ENCODED_TOKEN]" in clean
        left = clean.replace("[REDACTED_ENCODED_TOKEN]", "")
        assert len(left) < len(text) - 4 * 16 // 3
        sieve = Sieve(Redactor())
        told = []
        for letter in text:
            sieve.add(letter)
            told.append(sieve.release(whole=False))
        assert "".join((*told, sieve.release(whole=True))) == clean


def test_images_and_other_data_in_base64_stay() -> None:
    data = random.Random(7).randbytes(300_000) + b"hf_\xff" * 2_000 + b"hf_hub_download, ghp_, sk-ant-x AKIA " * 50
    redactor = Redactor()
    for start in range(3):
        encoded = base64.b64encode(data[start:]).decode()
        assert redactor.text(encoded) == encoded
    assert redactor.text(data.hex()) == data.hex()


def test_text_after_a_private_key_stays() -> None:
    assert Redactor().text(f"{PRIVATE_KEY}\nafter it") == "[REDACTED_PRIVATE_KEY]\nafter it"


def test_known_values_go_in_every_encoding() -> None:
    secret = 'unusual "value" \\ ü 7'
    redactor = Redactor([secret])
    for form in (
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
    ):
        assert REDACTED in redactor.text(f"<{form}>"), form


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_known_values_go_from_within_base64(before: str) -> None:
    secret = "correct-horse-battery-staple"
    encoded = base64.b64encode(f"{before}{secret}!".encode()).decode()
    clean = Redactor([secret]).text(encoded)
    assert encoded not in clean
    padding = "=" * (-len(clean.partition("[")[0]) % 4)
    left_over = base64.b64decode(clean.partition("[")[0] + padding, validate=False)
    assert secret.encode()[:3] not in left_over


def test_environment_variables_named_like_secrets_are_known() -> None:
    env = {
        "MY_SERVICE_TOKEN": "correct-horse-battery",
        "DB_PASSWORD": "tr0ub4dor",
        "TOKENIZERS_PARALLELISM": "false-or-something",
        "HF_TOKEN_PATH": "/home/me/.cache/token",
        "SHORT_TOKEN": "abc",
        "LOCAL_API_KEY": "unneeded",
    }
    redactor = Redactor.from_env(env)
    text = " ".join(env.values())
    clean = redactor.text(text)
    assert clean == f"{REDACTED} {REDACTED} false-or-something /home/me/.cache/token abc unneeded"


def test_data_is_judged_by_key_and_value() -> None:
    data = {
        "env": {"HF_TOKEN": "abc", "EPOCHS": "3", "pad_token": "eos"},
        "items": ["password: hunter2", 4, None, ("hf_" + "a" * 34,)],
        "max_tokens": 512,
    }
    assert Redactor().data(data) == {
        "env": {"HF_TOKEN": REDACTED, "EPOCHS": "3", "pad_token": "eos"},
        "items": [f"password: {REDACTED}", 4, None, ("[REDACTED_HF_TOKEN]",)],
        "max_tokens": 512,
    }
    assert data["max_tokens"] == 512


def test_data_that_cannot_be_walked_is_withheld() -> None:
    endless: list[object] = ["hf_" + "a" * 34]
    endless.append(endless)
    assert Redactor().data(endless) == WITHHELD


def test_text_that_cannot_be_checked_is_withheld() -> None:
    class Broken(str):
        __slots__ = ()

        def lower(self) -> str:
            raise MemoryError

        def replace(self, *_args: object, **_more: object) -> str:
            raise MemoryError

    assert Redactor().text(Broken("HF_TOKEN=abc")) == WITHHELD


secrets = st.one_of(
    st.text(ALNUM, min_size=29, max_size=40).map(lambda tail: f"hf_{tail}"),
    st.text(ALNUM + "-_", min_size=20, max_size=60).map(lambda tail: f"sk-ant-{tail}"),
    st.text(ALNUM, min_size=36, max_size=40).map(lambda tail: f"ghp_{tail}"),
    st.text(ALNUM, min_size=8, max_size=40).map(lambda value: f'MY_API_KEY="k{value}"'),
    st.text(ALNUM, min_size=8, max_size=40).map(lambda value: f'{{"HF_TOKEN": "k{value}"}}'),
)
surroundings = st.one_of(
    st.sampled_from([*KEPT, *(text for text, _ in CAUGHT), PRIVATE_KEY, "\\", '"', "=", "token", "password: ", "://"]),
    st.text(max_size=12),
)
fragments = surroundings | secrets


def core_of(secret: str) -> str:
    return secret.rstrip('"}').rpartition('"')[2].removeprefix("sk-ant-")


@settings(deadline=None)
@given(st.lists(surroundings, max_size=4), secrets, st.lists(surroundings, max_size=4))
def test_canary_never_survives_alone_on_its_line(before: list[str], secret: str, after: list[str]) -> None:
    text = "\n".join(["".join(before), secret, "".join(after)])
    redactor = Redactor()
    assert core_of(secret) not in redactor.text(text)
    line = redactor.text(json.dumps({"text": text}))
    assert core_of(secret) not in line
    json.loads(line)


@settings(deadline=None)
@given(st.text(min_size=12, max_size=40), st.text(max_size=60), st.text(max_size=60))
def test_known_canary_never_survives_anywhere(secret: str, before: str, after: str) -> None:
    secret = secret.strip()
    redactor = Redactor([secret])
    if len(secret) >= 8 and secret not in REDACTED:
        text = before + secret + after
        assert secret not in redactor.text(text)
        assert json.dumps(secret)[1:-1] not in redactor.text(json.dumps({"t": text}))


@settings(deadline=None)
@given(st.lists(fragments, max_size=6).map("".join))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    redactor = Redactor(["correct-horse-battery-staple"])
    once = redactor.text(text)
    assert redactor.text(once) == once


@settings(deadline=None)
@given(st.recursive(fragments, lambda children: st.lists(children) | st.dictionaries(fragments, children)))
def test_redacted_json_is_json(data: object) -> None:
    json.loads(Redactor().text(json.dumps(data)))
    json.loads(Redactor().text(json.dumps(data, ensure_ascii=False)))


@pytest.mark.parametrize(
    "piece",
    [
        'token="', "token=", "token: str ", "password=:", "key_", "eyJ", "eyJaaaaaaaaaaaa.", "://", "://a", "sk-", "\\",
        "-----BEGIN PRIVATE KEY-----", "authorization: ", "bearer ", "a", "aGZf", "oZl", "68665f",
        "aGZfYWFhYWFhYWFhYWFh", "token='\\\\", "--token ",
    ],
)  # fmt: skip
def test_cost_grows_no_faster_than_the_text(piece: str) -> None:
    redactor = Redactor()

    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        return min(timed(redactor, text) for _ in range(3))

    small, large = cost(20_000), cost(160_000)
    assert large < 8 * 4 * max(small, 0.001)


def timed(redactor: Redactor, text: str) -> float:
    start = time.process_time()
    redactor.text(text)
    return time.process_time() - start
