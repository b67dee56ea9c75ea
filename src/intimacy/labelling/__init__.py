"""Annotation rounds: threads out to a labelling tool, and its answers back as a corpus.

One file per tool. `export_for` makes tasks, `read_annotations` reads what the tool exports,
`Annotations` settles it by the codebook's section 7. `selection` says which threads to label
next, `rectified` what labels say of one creator.
"""

from intimacy.labelling.rounds import (
    AnnotationReport,
    Annotations,
    Contested,
    read_annotations,
)
from intimacy.labelling.tasks import export_for
from intimacy.labelling.tools import TOOLS, label_config, write_tasks

__all__ = [
    "TOOLS",
    "AnnotationReport",
    "Annotations",
    "Contested",
    "export_for",
    "label_config",
    "read_annotations",
    "write_tasks",
]
