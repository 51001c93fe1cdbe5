"""What the file says of a page's path, and the link that it becomes."""

from __future__ import annotations

import string
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.config.local_addresses import url_path
from trayconnect.config.values import page_path
from trayconnect.core.page import Page

ORIGIN = "http://127.155.66.8:25667"


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/lab", "/lab?token=t%2B1"),
        ("/lab/tree/My work/α.ipynb", "/lab/tree/My%20work/%CE%B1.ipynb?token=t%2B1"),
        ("/lab/tree/a%20b", "/lab/tree/a%20b?token=t%2B1"),
        ("/lab/tree/100%.ipynb", "/lab/tree/100%25.ipynb?token=t%2B1"),
        ("/lab?reset", "/lab?reset&token=t%2B1"),
        ("/lab?", "/lab?token=t%2B1"),
        ("/lab?a=1&", "/lab?a=1&token=t%2B1"),
        ("/lab?a=b c&d=é", "/lab?a=b%20c&d=%C3%A9&token=t%2B1"),
        ("/lab#part two", "/lab?token=t%2B1#part%20two"),
        ("/lab#a?b", "/lab?token=t%2B1#a?b"),
        ("/lab?reset#a", "/lab?reset&token=t%2B1#a"),
        ("/lab#", "/lab?token=t%2B1#"),
        ("/lab/tree/C%23 notes.ipynb", "/lab/tree/C%23%20notes.ipynb?token=t%2B1"),
        ('/lab/tree/a"b<c>\\d.ipynb', "/lab/tree/a%22b%3Cc%3E%5Cd.ipynb?token=t%2B1"),
    ],
)
def test_the_link_logs_in(path: str, link: str) -> None:
    assert Page(f"{ORIGIN}{url_path(page_path(path))}", "t+1").link == f"{ORIGIN}{link}"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), st.text(min_size=1))
def test_any_path_keeps_its_meaning(text: str, token: str) -> None:
    path = f"/{text}"
    url = url_path(path)
    assert set(url) <= set(string.ascii_letters + string.digits + "-._~/%:@!$&'()*+,;=?#")
    assert url_path(url) == url
    plain, link = urlsplit(ORIGIN + url), urlsplit(Page(ORIGIN + url, token).link)
    assert (link.netloc, link.path, link.fragment) == (plain.netloc, plain.path, plain.fragment)
    before = parse_qsl(plain.query, keep_blank_values=True)
    after = parse_qsl(link.query, keep_blank_values=True)
    assert after == [*before, ("token", token)]
    if "%" not in text:
        assert unquote(plain.path) == path.partition("#")[0].partition("?")[0]


@pytest.mark.parametrize("path", ["lab", "", "/a\nb", "/a\x00", "/a\u2028b", "/a\x7f"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="must begin with '/'"):
        page_path(path)
