"""Means of other measures: always beside their parts, never claimed to be the right weighting."""

from __future__ import annotations

from intimacy.profiling import of_communities, of_creators
from intimacy.profiling.index import MIN_POSTS, Index, lexical, mean_of, model

_PART = {index.name: index for index in (*of_creators.INDICES, *of_communities.INDICES)}


INDICES: tuple[Index, ...] = (
    lexical(
        name="social_presence",
        concept="presence",
        needs="creator",
        estimate=mean_of(
            _PART["reply_rate"],
            _PART["asks_back_share"],
            _PART["first_person_share"],
            _PART["emoji_share"],
        ),
        caveat="plain mean of reply rate, questions back, first person and emoji, shown beside it",
    ),
    lexical(
        name="quality_content",
        concept="quality_content",
        needs="creator",
        estimate=mean_of(_PART["explained_share"], _PART["sourced_share"]),
        caveat="plain mean of explained answers and explanations with a source",
    ),
    lexical(
        name="quality_creator",
        concept="quality_creator",
        needs="creator",
        least=MIN_POSTS,
        estimate=mean_of(_PART["reply_rate"], _PART["transparency"], _PART["consistency"]),
        caveat="plain mean of reply rate, transparency and consistency; missing where one is",
    ),
    model(
        name="quality_community",
        experimental=True,
        concept="quality_community",
        estimate=mean_of(_PART["supportive_share"], _PART["returning_share"]),
        caveat="plain mean of supportive threads and returning followers; inequality stands apart",
    ),
    lexical(
        name="credibility",
        concept="credibility",
        needs="creator",
        least=MIN_POSTS,
        estimate=mean_of(_PART["sourced_share"], _PART["correction_share"], _PART["transparency"]),
        caveat="plain mean of explanations with a source, corrections accepted and transparency; "
        "no weighting is claimed to be best",
    ),
)
