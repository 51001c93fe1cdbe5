"""Questions and answers between the app and its prompt window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE
from trayconnect.desktop.prompts.window_prompter import (
    decode_answer,
    decode_question,
    encode_answer,
    encode_question,
)

QUESTION = Question(
    QuestionKind.PASSWORD, "GPU box", "Password", "", (Field("Password"),), can_remember=True
)

questions = st.builds(
    Question,
    kind=st.sampled_from(QuestionKind),
    server=st.text(),
    title=st.text(),
    message=st.text(),
    fields=st.lists(st.builds(Field, st.text(), st.booleans(), st.booleans()), max_size=4).map(
        tuple
    ),
    confirm=st.text(),
    can_remember=st.booleans(),
)


@given(questions, st.text(), st.floats(0, 60))
def test_questions_read_back(question: Question, icon: str, guard: float) -> None:
    assert decode_question(encode_question(question, icon, guard)) == (question, icon, guard)


@given(st.data())
def test_answers_read_back(data: st.DataObject) -> None:
    question = data.draw(questions)
    values = tuple(data.draw(st.text()) for _ in question.fields)
    answer = Answer(values, data.draw(st.booleans()) and question.can_remember)
    assert decode_answer(encode_answer(answer), question) == answer
    assert decode_answer(encode_answer(None), question) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"values": ["s3cret"]}',
        b'{"values": ["s3cret"], "remember": 1}',
        b'{"values": "s3cret", "remember": true}',
        b'{"values": [7], "remember": true}',
        b'{"values": [], "remember": true}',
        b'{"values": ["s3cret", "more"], "remember": true}',
        b'{"values": ["s3cret"], "remember": true} trailing',
        b'{"declined": false}',
    ],
)
def test_garbage_is_an_error_that_quotes_no_secret(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        decode_answer(data, QUESTION)
    assert "s3cret" not in repr(caught.value)


def test_nothing_is_remembered_that_was_not_offered() -> None:
    plain = Question(QuestionKind.PASSWORD, "GPU box", "Password", "", (Field("Password"),))
    said = decode_answer(b'{"values": ["x"], "remember": true}', plain)
    assert said == Answer(("x",), remember=False)


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b'{"kind": "other"}', b"[1]"])
def test_garbage_is_no_question(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_question(data)


def test_a_value_as_long_as_a_key_may_be_passes_and_a_longer_one_does_not() -> None:
    longest = Answer(("é" * (LONGEST_VALUE // 2),))
    assert decode_answer(encode_answer(longest), QUESTION) == longest
    with pytest.raises(ValueError, match="too long"):
        decode_answer(encode_answer(Answer((longest.values[0] + "x",))), QUESTION)
