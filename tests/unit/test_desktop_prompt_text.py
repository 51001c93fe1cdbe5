"""What is shown of a question, and what of an answer is kept."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.questions import Field, Question, QuestionKind
from trayconnect.desktop.prompts import prompt_text
from trayconnect.desktop.prompts.prompt_text import (
    LONGEST_VALUE,
    as_prompt,
    clip,
    harmless,
    is_complete,
    is_last_line_of_key,
    next_to_fill,
    tidy,
)

LINE, TEXT = Field("Password"), Field("Key", multiline=True)


def question(kind: QuestionKind = QuestionKind.PASSWORD, fields: int = 1) -> Question:
    return Question(kind, "GPU box", "Title", "", (LINE,) * fields)


questions = st.builds(
    Question,
    kind=st.sampled_from(QuestionKind),
    server=st.text(),
    title=st.text(),
    message=st.text(),
    fields=st.lists(st.builds(Field, st.text(), st.booleans()), max_size=4).map(tuple),
    confirm=st.text(),
)


@given(questions)
def test_nothing_that_is_shown_controls_anything(asked: Question) -> None:
    shown = harmless(asked)
    lines = (shown.server, shown.title, shown.confirm, *(field.label for field in shown.fields))
    for text in (*lines, shown.message.replace("\n", "")):
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)
    assert all(field.label for field in shown.fields)
    assert harmless(shown) == shown


@given(questions)
def test_what_is_asked_for_stays(asked: Question) -> None:
    shown = harmless(asked)
    assert (shown.kind, shown.can_remember) == (asked.kind, asked.can_remember)
    assert [f.secret for f in shown.fields] == [f.secret for f in asked.fields]


def test_a_long_text_is_clipped_and_says_so() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "abc…"
    assert clip("a\nb\nc", 99, lines=2) == "a\nb…"
    long = harmless(Question(QuestionKind.PASSWORD, "x", "t" * 9999, "m" * 99999))
    assert len(long.title) == prompt_text.LONGEST_LINE + 1
    assert len(long.message) == prompt_text.LONGEST_MESSAGE + 1


@pytest.mark.parametrize(
    ("label", "prompt"),
    [("Password", "Password:"), ("Password:", "Password:"), ("Code?", "Code?"), ("PIN>", "PIN>")],
)
def test_a_label_gets_one_colon(label: str, prompt: str) -> None:
    assert as_prompt(label) == prompt


def test_the_title_bar_names_the_server_and_what_is_asked_for() -> None:
    titles = {prompt_text.window_title(question(kind)) for kind in QuestionKind}
    assert len(titles) == len(QuestionKind)
    assert "GPU box: one-time code – trayconnect" in titles


@pytest.mark.parametrize(
    ("kind", "values", "complete"),
    [
        (QuestionKind.PASSWORD, ("x",), True),
        (QuestionKind.PASSWORD, ("",), False),
        (QuestionKind.PASSPHRASE, ("",), False),
        (QuestionKind.PRIVATE_KEY, ("",), False),
        (QuestionKind.PRIVATE_KEY, ("x" * LONGEST_VALUE,), True),
        (QuestionKind.PRIVATE_KEY, ("x" * (LONGEST_VALUE + 1),), False),
        (QuestionKind.KEYBOARD_INTERACTIVE, ("", ""), True),
        (QuestionKind.ONE_TIME_CODE, ("",), True),
        (QuestionKind.HOST_KEY, (), True),
    ],
)
def test_complete(kind: QuestionKind, values: tuple[str, ...], complete: bool) -> None:
    fields = [LINE] * len(values)
    assert is_complete(question(kind, len(values)), fields, values) is complete


@pytest.mark.parametrize("field", [LINE, TEXT])
def test_an_end_of_line_alone_is_empty(field: Field) -> None:
    assert not is_complete(question(), [field], ["\r\n"])


@pytest.mark.parametrize(
    ("kind", "values", "current", "following"),
    [
        (QuestionKind.PASSWORD, ("x", ""), 0, 1),
        (QuestionKind.PASSWORD, ("", ""), 0, 0),
        (QuestionKind.PASSWORD, ("", "x"), 1, 0),
        (QuestionKind.PASSWORD, ("x", "y"), 0, None),
        (QuestionKind.KEYBOARD_INTERACTIVE, ("", "", ""), 0, 1),
        (QuestionKind.KEYBOARD_INTERACTIVE, ("", "", ""), 2, None),
        (QuestionKind.KEYBOARD_INTERACTIVE, ("x", "y", ""), 0, 2),
        (QuestionKind.KEYBOARD_INTERACTIVE, ("",), 0, None),
    ],
)
def test_return_goes_on(
    kind: QuestionKind, values: tuple[str, ...], current: int, following: int | None
) -> None:
    assert next_to_fill(question(kind, len(values)), values, current) == following


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        (LINE, "s3cret", "s3cret"),
        (LINE, "s3cret\n", "s3cret"),
        (LINE, "s3cret\r\n", "s3cret"),
        (LINE, " s3cret ", " s3cret "),
        (TEXT, "", ""),
        (TEXT, " \n ", ""),
        (TEXT, "\n a\r\nb \n\n", "a\nb\n"),
    ],
)
def test_what_came_along_with_a_paste_is_dropped(field: Field, value: str, kept: str) -> None:
    assert tidy(field, value) == kept


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("-----END OPENSSH PRIVATE KEY-----", True),
        ("-----END RSA PRIVATE KEY----- ", True),
        ("---- END SSH2 ENCRYPTED PRIVATE KEY ----", True),
        ("Private-MAC: 6d7e", True),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", False),
        ("AAAA", False),
        ("", False),
    ],
)
def test_the_last_line_of_a_key(line: str, last: bool) -> None:
    assert is_last_line_of_key(line) is last
