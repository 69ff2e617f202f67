"""Rotten Tomatoes: 10,662 sentences of film reviews, positive or negative (Pang and Lee, 2005)."""

from trainables.data.text import define_text_source

ROTTEN_TOMATOES = define_text_source(
    "rotten_tomatoes", "cornell-movie-review-data/rotten_tomatoes", ("neg", "pos")
)
