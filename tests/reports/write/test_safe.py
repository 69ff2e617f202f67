"""Names become safe folders, text becomes safe markdown, and no password is printed."""

import pytest
from markdown_it import MarkdownIt

from reports.__main__ import main
from reports.write.safe import escape_markdown, to_slug


def test_pictures_and_html_are_escaped() -> None:
    text = "# a\n\n![x](http://h/x.png) <script>1</script> p < 0.001"
    body = MarkdownIt().render(f"So: {escape_markdown(text)}")
    assert body.count("<") == 2  # of the paragraph itself
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
    assert main([*words, "--tracking-uri", "nonsense://ada:secret@host", "--debug"]) == 2
    printed = capsys.readouterr().err
    assert "nonsense://***@host" in printed
    assert "Traceback" in printed
    assert "secret" not in printed
