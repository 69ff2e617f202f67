"""Data of the user's own: photographs, texts and tables, which `--data-dir` names."""

from trainables.data.source import Source
from trainables.data.text import define_text_source

OWN_PHOTOS = Source(name="own_photos", hub="", shape=(3, 128, 128), classes=(), photos=True)

OWN_TEXTS = define_text_source("own_texts", hub="", classes=())

OWN_TABLE = Source(name="own_table", hub="", shape=(0, 0, 0), classes=())
