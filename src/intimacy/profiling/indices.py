"""All measures beside the shares of the four, in the order of reports.

One entry an index; ``docs/measures.md`` says the same for people. Three kinds of source: what the
export says (``metadata``), a versioned list of words or wordings (``lexicon``), a head of the model
(``model``). Those that nothing here validates are ``experimental``.
"""

from __future__ import annotations

from intimacy.profiling import composites, of_communities, of_creators
from intimacy.profiling.index import Index

INDICES: tuple[Index, ...] = (
    *of_creators.INDICES,
    *of_communities.INDICES,
    *composites.INDICES,
)
"""Every index once."""

BY_NAME = {index.name: index for index in INDICES}
"""Name → index."""
