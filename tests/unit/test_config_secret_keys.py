"""A secret in the file: told of, never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.file_problems import ConfigError
from trayconnect.config.secret_keys import names_secret
from trayconnect.config.yaml_file import parse

HERE = Path("servers.yaml")
SECRET = "hunter2-Zx"

FILES = [
    "servers:\n- {name: a, host: h, auth: {password: SECRET}}",
    "servers:\n- {name: a, host: h, password: SECRET}",
    "servers:\n- {name: a, host: h, auth: {passphrase: SECRET}}",
    "servers:\n- {name: a, host: h, auth: {password: {SECRET: SECRET}}}",
    "servers:\n- {name: a, host: h, auth: {password: [SECRET]}}",
    "servers:\n- {name: a, host: h, auth: {password: !SECRET x}}",
    "servers:\n- {name: a, host: h, auth: {password: *SECRET}}",
    "servers:\n- {name: a, host: h, auth: {password: &SECRET SECRET}}",
    "servers:\n- {name: a, host: h, auth: {password: 'SECRET}}",
    "servers:\n- {name: a, host: h, auth: {password: @SECRET}}",
    "servers:\n- {name: a, host: h, auth: {password: !S!SECRET x}}",
    'servers:\n- {name: a, host: h, auth: {password: "\\SECRET"}}',
    "servers:\n- {name: a, host: h, jupyter: {token: SECRET}}",
    "servers:\n- {name: a, host: h, jupyter: {path: '/lab?token=SECRET'}}",
    "servers:\n- {name: a, host: 'ada:SECRET@h'}",
    "servers:\n- {name: a, host: 'ssh://ada:SECRET@h'}",
    "servers:\n- {name: a, host: h, jump_hosts: ['ada:SECRET@h']}",
    "servers:\n- {name: a, host: h, auth: {identity_file: '-----BEGIN PRIVATE KEY----- SECRET'}}",
    "servers:\n- {name: a, url: 'http://ada:SECRET@h'}",
    "servers:\n- {name: a, url: 'http://h/?token=SECRET'}",
    "servers:\n- {name: a, url: 'http://h/#access_token=SECRET'}",
    "servers:\n- {name: a, host: h, start: {options: [--ServerApp.token=SECRET]}}",
    "servers:\n- {name: a, host: h, start: {options: [--IdentityProvider.token, SECRET]}}",
    "servers:\n- {name: a, host: h, start: {options: [--p.hashed_password=SECRET]}}",
    "servers:\n- {name: a, host: h, start: {environment: export JUPYTER_TOKEN=SECRET}}",
    "defaults: {auth: {password: SECRET}}",
    "defaults: {auth: &a {password: SECRET}}\nservers: [{name: a, host: h, auth: *a}]",
    "token: SECRET",
    "api-key: SECRET",
    "unknown: {deeper: [{sudoPassword: SECRET}]}",
]


@pytest.mark.parametrize("text", FILES)
def test_it_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.replace("SECRET", SECRET), HERE)
    error = caught.value
    said = [str(error), repr(error), error.problem.detail, *map(str, error.problems)]
    cause: BaseException | None = error
    while cause is not None:
        said.append(repr(cause))
        cause = cause.__cause__ or cause.__context__
    assert SECRET not in "\n".join(said)


@pytest.mark.parametrize("key", ["passphrase", "token", "api-key", "sudoPassword"])
def test_other_keys_that_hold_one(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"servers:\n- name: a\n  host: h\n  {key}: x", HERE)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (4, 3)
    assert problem.message.startswith(f"'{key}' has no place in this file: remove it; trayconnect")


@given(st.text("abcdefghijklmnop0123456789", min_size=8, max_size=20))
def test_whatever_it_is(secret: str) -> None:
    text = f"servers:\n- {{name: a, host: h, auth: {{password: {secret}}}}}"
    with pytest.raises(ConfigError) as caught:
        parse(text, HERE)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 29)
    assert problem.message.startswith("password takes 'ask' or 'keyring', never the password")
    assert secret not in caught.value.problem.detail


def test_the_two_words_that_are_no_password() -> None:
    for word in ("ask", "keyring"):
        config = parse(f"servers: [{{name: a, host: h, auth: {{password: {word}}}}}]", HERE)
        assert config.servers[0].auth.password == word


def test_in_the_wrong_place_they_are_told_where_they_belong() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("servers: [{name: a, host: h, password: ask}]", HERE)
    (problem,) = caught.value.problems
    assert problem.message == "unknown key 'password': 'password' belongs under 'auth'"


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True),
        ("Password", True),
        ("sudo_password", True),
        ("accessToken", True),
        ("API-Key", True),
        ("name", False),
        ("identity_file", False),
        ("compass", False),
        ("pinned", False),
    ],
)
def test_names(key: str, secret: bool) -> None:
    assert names_secret(key) is secret
