"""Names become safe folders, text becomes safe markdown, and no password is printed."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from reports.__main__ import main
from reports.write.safe import (
    escape_markdown,
    format_block,
    format_code,
    shorten,
    to_folder_name,
    to_one_line,
    to_slug,
)
from tests.support.hostile_texts import HOSTILE

PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    shown = to_one_line(text)
    for written, before, after in (
        (escape_markdown(text), "<p>", "</p>"),
        (format_code(text), "<p><code>", "</code></p>"),
    ):
        body = PARSER.render(written).strip()
        assert body.startswith(before)
        assert html.unescape(body.removeprefix(before).removesuffix(after)) == shown
        written.encode()  # nothing that UTF-8 has not
    body = PARSER.render(f"| a | b |\n| - | - |\n| {escape_markdown(text)} | z |")
    cells = re.findall(r"<td>(.*?)</td>", body)
    assert [html.unescape(cell) for cell in cells] == [shown, "z"]
    (block,) = [t for t in PARSER.parse(format_block(text, "text")) if t.type == "fence"]
    assert "".join(block.content.split()) == "".join(shown.split())


def test_words_of_programs_stay_readable() -> None:
    assert escape_markdown("learning_rate 1.5 -0.5 a.b #3 100 %") == (
        "learning_rate 1.5 -0.5 a.b #3 100 %"
    )
    assert format_code("validation_accuracy") == "`validation_accuracy`"


def test_long_text_keeps_both_ends() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcdef…ijk"
    assert all(len(shorten("x" * 50, most)) == most for most in range(3, 50))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("svhn_150k-2", "svhn_150k-2"),
        ("../../etc/x y", "-..-etc-x-y"),
        ("..", "search"),
        ("", "search"),
        (".hidden", "hidden"),
        ("/abs", "-abs"),
        ("net[v2]", "net-v2-"),
        ("日本", "日本"),
        ("x" * 300, "x" * 100),
    ],
)
def test_any_name_becomes_a_folder(name: str, folder: str) -> None:
    assert to_slug(name) == folder


@pytest.mark.parametrize(
    "words",
    [
        ["digits"],
        ["ensemble", "digits", "--members", "0", "1"],
        ["export", "digits"],
        ["compare", "digits", "digits-2"],
    ],
)
def test_no_password_is_printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--tracking-uri", "nonsense://ada:secret@host", "--debug"]) >= 2
    printed = capsys.readouterr().err
    assert "nonsense://***@host" in printed
    assert "Traceback" in printed
    assert "secret" not in printed


def test_no_two_names_have_the_same_folder() -> None:
    names = ["a b", "a?b", "a-b", "a--b", "net[2]", "net(2)", ".x", "x", "网"]
    assert len({to_folder_name(name) for name in names}) == len(names)
    assert to_folder_name("digits-2") == "digits-2"
