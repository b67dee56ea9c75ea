"""GDPR take-outs of Instagram: recognised, to say why they cannot serve."""

from __future__ import annotations

from intimacy.errors import UnsupportedExportError
from intimacy.importers.base import Export, Importer, Options
from intimacy.importers.document import Document


def _matches(document: Document) -> bool:
    return "string_map_data" in document.keys or "comments_reels_comments" in document.keys


def _read(document: Document, options: Options) -> Export:
    raise UnsupportedExportError(
        f"{document.name} is a personal data copy of Instagram: it holds only the account's own "
        "comments, without what they answer, so there are no threads in it. Export the comments "
        "under the posts instead (docs/formats.md)"
    )


IMPORTER = Importer(name="instagram_takeout", matches=_matches, read=_read)
