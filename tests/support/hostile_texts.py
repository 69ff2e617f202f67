"""Texts that a user may have in names, and that Markdown, HTML or a figure may misread."""

HOSTILE = (
    *("$10_to_$20", "under $5", "a^{b$ and $c", "cats|dogs", "<b>x", "<script>1</script>", "[/x]"),
    *("`a`", "``", "*x*", "**x**", "_x_ a_b", "__x__", "___", "a\nb", "# h", "1. x", "1.5", "12)"),
    *("> q", "- x", "-0.5", "---", "===", "+ x", "日本 #1", "\ud800", "\u202eabc", "x\\", "\\$"),
    *("&amp; &x; &#36;", "~~s~~", "[a](b)", "![a](http://b)", "<http://x>", "\x1b[31m", "👩‍💻"),
    *("```", "|", "a\u2028b", "!", "p < 0.001", "<", "x" * 500),
)
