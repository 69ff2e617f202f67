"""Logins are not printed, and no name of the server's leads out of a folder."""

import pytest
from markdown_it import MarkdownIt

from reports.__main__ import main
from reports.write.safe import escape_markdown, to_slug


def test_text_of_others_stays_text() -> None:
    text = "# a\n\n![x](http://h/x.png) <script>1</script> p < 0.001"
    body = MarkdownIt().render(f"So: {escape_markdown(text)}")
    assert body.count("<") == 2  # of its own paragraph
    assert "&lt;script&gt;1&lt;/script&gt; p &lt; 0.001" in body


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("svhn_150k-2", "svhn_150k-2"),
        ("../../etc/x y", "-..-etc-x-y"),
        ("..", "search"),
        ("", "search"),
        (".hidden", "hidden"),
        ("/abs", "-abs"),
    ],
)
def test_a_folder_of_any_name(name: str, folder: str) -> None:
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
def test_no_command_tells_a_password(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--tracking-uri", "nonsense://ada:secret@host", "--debug"]) == 2
    said = capsys.readouterr().err
    assert "nonsense://***@host" in said
    assert "Traceback" in said
    assert "secret" not in said
