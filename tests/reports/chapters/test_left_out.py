"""A chapter that is left out says what it needs."""

from reports.chapters.left_out import NEEDS, write_left_out


def test_every_chapter_that_is_left_out_says_what_it_needs() -> None:
    assert write_left_out([]) is None
    assert write_left_out(["Timeline", "More chapters"]) == (
        "- Timeline: needs recorded times of trials."
    )
    text = write_left_out(list(NEEDS))
    assert text is not None
    assert len(text.splitlines()) == len(NEEDS)
