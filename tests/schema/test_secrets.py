"""Keys, tokens and passwords in options are withheld; plain words are not."""

import pytest

from schema.secrets import redacted


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1" * 18,
        "hf_" + "Ab1" * 11,
        "sk-" + "x" * 30,
        "AKIA" + "ABCDEFGH12345678",
        "0123456789abcdef" * 2 + "01234567",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1",
    ],
)
def test_what_looks_like_a_key_is_withheld(secret):
    assert redacted(f"run-{secret}.x") == "run-(withheld).x"


def test_a_password_in_an_address_is_withheld():
    assert redacted("s3://ana:geheim@host/x.h5ad") == "s3://(withheld)host/x.h5ad"


def test_secrets_of_the_environment_are_withheld(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "plainword")
    monkeypatch.setenv("MONKEY", "alsoplain")
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert redacted("plainword alsoplain abc") == "(withheld) alsoplain abc"


@pytest.mark.parametrize(
    "text", ["atlas/*.h5ad", "mouse_carcinogenesis", "sha1:" + "a" * 64, "a@b.c", "task-force-one"]
)
def test_plain_words_stay(text):
    assert redacted(text) == text
