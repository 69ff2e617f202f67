"""The model card says what a model is, whatever the names are."""

import html

from markdown_it import MarkdownIt

from reports.card import write_card
from tests.support.hostile_texts import HOSTILE
from tests.support.make_search import make_search, make_trial


def test_names_of_the_user_stay_as_they_are() -> None:
    search = make_search(
        make_trial(0), metric="f1|$x$ [/x]", tags={"question": "<b>?", "command": "a ``` b"}
    )
    text = write_card(search, [(search.trials[0], 1.0)], {"test": 9}, "unknown", HOSTILE)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    shown = html.unescape(body)
    assert '<th style="text-align:right">f1|$x$ [/x]</th>' in shown
    assert "Question of the search: <b>?" in shown
    assert "&lt;script&gt;1&lt;/script&gt;" in body
    for name in ("$10_to_$20", "cats|dogs", "*x*", "__x__", "`a`", "日本 #1", "[a](b)"):
        assert name in shown
    assert "a ``` b" in shown
