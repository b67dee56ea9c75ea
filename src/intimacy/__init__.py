"""Communicative intimacy in Italian creator–follower threads.

    threads, report = intimacy.read_export("canale.info.json")
    predictions = intimacy.classify_threads(threads)
    intimacy.profile(threads, predictions)

Importing the package loads nothing; each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intimacy.audit import agreement as agreement
    from intimacy.audit import check_corpus as check_corpus
    from intimacy.classifier import Classifier as Classifier
    from intimacy.classifier import classify_thread as classify_thread
    from intimacy.classifier import classify_threads as classify_threads
    from intimacy.classifier import load_model as load_model
    from intimacy.corpus import load_corpus as load_corpus
    from intimacy.corpus import open_corpus as open_corpus
    from intimacy.errors import IntimacyError as IntimacyError
    from intimacy.errors import IntimacyWarning as IntimacyWarning
    from intimacy.evaluation import krippendorff_alpha as krippendorff_alpha
    from intimacy.frames import save_corpus as save_corpus
    from intimacy.frames import to_dataset as to_dataset
    from intimacy.frames import to_frame as to_frame
    from intimacy.importers import read_export as read_export
    from intimacy.labelling import Annotations as Annotations
    from intimacy.labelling import export_for as export_for
    from intimacy.labelling import read_annotations as read_annotations
    from intimacy.labelling.rectified import labelled_shares as labelled_shares
    from intimacy.labelling.rectified import with_labels as with_labels
    from intimacy.labelling.selection import Choice as Choice
    from intimacy.labelling.selection import label_next as label_next
    from intimacy.prediction import Evidence as Evidence
    from intimacy.prediction import Prediction as Prediction
    from intimacy.profiling import profile as profile
    from intimacy.profiling import profiles as profiles
    from intimacy.profiling.comparison import Brief as Brief
    from intimacy.profiling.comparison import Comparison as Comparison
    from intimacy.profiling.comparison import compare as compare
    from intimacy.profiling.comparison import compare_sponsored as compare_sponsored
    from intimacy.profiling.comparison import percentiles as percentiles
    from intimacy.profiling.comparison import rank as rank
    from intimacy.schema import Label as Label
    from intimacy.schema import Measure as Measure
    from intimacy.schema import Post as Post
    from intimacy.schema import Profile as Profile
    from intimacy.schema import Role as Role
    from intimacy.schema import Share as Share
    from intimacy.schema import Thread as Thread
    from intimacy.schema import Turn as Turn
    from intimacy.training.estimator import IntimacyClassifier as IntimacyClassifier

__version__ = "0.1.0"

_HOME = {
    "agreement": "audit",
    "check_corpus": "audit",
    "Classifier": "classifier",
    "classify_thread": "classifier",
    "classify_threads": "classifier",
    "load_model": "classifier",
    "load_corpus": "corpus",
    "open_corpus": "corpus",
    "krippendorff_alpha": "evaluation",
    "IntimacyError": "errors",
    "IntimacyWarning": "errors",
    "save_corpus": "frames",
    "to_dataset": "frames",
    "to_frame": "frames",
    "read_export": "importers",
    "Annotations": "labelling",
    "export_for": "labelling",
    "read_annotations": "labelling",
    "Choice": "labelling.selection",
    "label_next": "labelling.selection",
    "labelled_shares": "labelling.rectified",
    "with_labels": "labelling.rectified",
    "profile": "profiling",
    "profiles": "profiling",
    "Evidence": "prediction",
    "compare": "profiling.comparison",
    "compare_sponsored": "profiling.comparison",
    "rank": "profiling.comparison",
    "percentiles": "profiling.comparison",
    "Brief": "profiling.comparison",
    "Comparison": "profiling.comparison",
    "Label": "schema",
    "Measure": "schema",
    "Post": "schema",
    "Prediction": "prediction",
    "Profile": "schema",
    "Role": "schema",
    "Share": "schema",
    "Thread": "schema",
    "Turn": "schema",
    "IntimacyClassifier": "training.estimator",
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intimacy' has no attribute {name!r}")
    if _HOME[name].startswith("training."):
        from intimacy.errors import require

        for package in ("torch", "transformers", "sklearn"):
            require(package, extra="train")
    value = getattr(import_module(f"intimacy.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
