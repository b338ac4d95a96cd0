"""The tables of a generation.

Times of modification are text: from the year 2262 on, nanoseconds are no number of SQLite.
"""

#: Raised with anything that makes an older catalogue wrong: the tables, the folding of text, the packing of cues.
FORMAT = "3"

_FTS = "content='', tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\""
TABLES = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path BLOB UNIQUE NOT NULL, inner BLOB NOT NULL, sidecar BLOB NOT NULL, stamp TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns TEXT NOT NULL, duration INTEGER NOT NULL,
    title TEXT NOT NULL, artist TEXT NOT NULL, album TEXT NOT NULL, date TEXT NOT NULL, cover BLOB NOT NULL,
    cues INTEGER NOT NULL
);
CREATE TABLE parts (id INTEGER PRIMARY KEY, file INTEGER NOT NULL);
CREATE TABLE cues (part INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE INDEX parts_of ON parts (file);
CREATE TABLE terms (id INTEGER PRIMARY KEY, term TEXT UNIQUE NOT NULL, files INTEGER NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(said, {_FTS});
CREATE VIRTUAL TABLE names USING fts5(path, title, artist, album, {_FTS});
CREATE VIRTUAL TABLE trigrams USING fts5(term, content='terms', content_rowid='id', tokenize='trigram', detail='none');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab('words', 'row');
CREATE VIRTUAL TABLE vocabulary_of_names USING fts5vocab('names', 'row');
"""
