"""The codebook's record: threads that are threads already, one a line or in a list."""

from __future__ import annotations

from intimacy import store
from intimacy.importers.base import Export, Importer, Options
from intimacy.importers.document import Document, decode


def _matches(document: Document) -> bool:
    return "turns" in document.keys and document.kind != "table"


def _read(document: Document, options: Options) -> Export:
    if document.kind == "object":
        values = [{key: document.value(key) for key in document.fields}]
    else:
        values = [decode(item) for item in document.items]
    threads = [
        store.thread_from_dict(value, path=document.path, line=number)
        for number, value in enumerate(values, 1)
    ]
    return Export(threads=threads, notes=("threads as they stand: nothing was pseudonymised",))


IMPORTER = Importer(name="record", matches=_matches, read=_read)
