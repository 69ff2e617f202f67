"""Rotten Tomatoes: 10,662 sentences of film reviews, for or against (Pang and Lee, 2005)."""

from trainables.data.text import labelled_texts

ROTTEN_TOMATOES = labelled_texts(
    "rotten_tomatoes", "cornell-movie-review-data/rotten_tomatoes", ("neg", "pos")
)
