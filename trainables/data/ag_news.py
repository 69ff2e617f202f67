"""AG News: 127,600 news headlines with their first lines, in four topics (Zhang et al., 2015)."""

from trainables.data.text import define_text_source

AG_NEWS = define_text_source(
    "ag_news", "fancyzhx/ag_news", ("World", "Sports", "Business", "Sci/Tech")
)
