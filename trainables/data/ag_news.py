"""AG News: 127,600 headlines with their first lines, of four topics (Zhang et al., 2015)."""

from trainables.data.text import labelled_texts

AG_NEWS = labelled_texts(
    "ag_news", "fancyzhx/ag_news", ("World", "Sports", "Business", "Sci/Tech")
)
