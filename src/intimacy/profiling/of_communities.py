"""Measures of what the community does, and of both together."""

from __future__ import annotations

from intimacy.profiling import behaviours, sampling
from intimacy.profiling.index import (
    AS_READ,
    MIN_POSTS,
    PER_100,
    WORDS,
    Index,
    both,
    cue,
    eligible,
    lexical,
    mature,
    metadata,
    model,
    per_100,
    reading,
    said,
    share,
)


def _stance(name: str) -> Index:
    return Index(
        name=f"{name}_share",
        concept="climate",
        source="model",
        estimate=reading("stance", (name,), eligible),
        caveat="what moderation removed is not there: a lower bound of hostility; irony is misread",
    )


INDICES: tuple[Index, ...] = (
    # parasocial potential
    model(
        name="parasocial_share",
        concept="parasocial",
        experimental=True,
        estimate=reading("parasocial", (True,), eligible),
        caveat="potential, not a relationship; the annotators agreed least here (α .58)",
    ),
    lexical(
        name="second_person_share",
        concept="parasocial",
        estimate=share(cue("second_person"), eligible),
        caveat=f"threads in which followers address the creator; {WORDS}",
    ),
    # climate
    *(_stance(name) for name in ("supportive", "critical", "hostile")),
    lexical(
        name="defence_ratio",
        needs="replies",
        concept="climate",
        estimate=share(cue("defence"), both(eligible, said("stance", "hostile", "critical"))),
        caveat=f"critical or hostile threads in which a follower defends the creator; {WORDS}",
    ),
    # co-creation
    model(
        name="proposals_per_100",
        concept="cocreation",
        unit=PER_100,
        estimate=reading("cocreation", (True,), eligible, scale=100),
        caveat="ideas, requests and corrections meant to shape the content",
    ),
    lexical(
        name="acceptance_rate",
        concept="cocreation",
        needs="creator",
        estimate=share(
            cue("accepts_idea", "credits", "correction"),
            both(mature, said("cocreation", True)),
            "proposals",
        ),
        caveat=f"proposals accepted in words; what happens later is unseen; {WORDS}",
    ),
    lexical(
        name="credit_share",
        concept="cocreation",
        least=MIN_POSTS,
        estimate=behaviours.posts_with("caption_credits"),
        caveat=f"posts that credit the community; {WORDS}",
    ),
    # proximity and influence
    lexical(
        name="local_share",
        concept="proximity",
        estimate=share(cue("local"), eligible),
        caveat=f"threads that name a place of theirs; {WORDS}",
    ),
    lexical(
        name="advice_per_100",
        concept="proximity",
        unit=PER_100,
        estimate=per_100(cue("advice"), eligible),
        caveat=f"threads asking for advice; {WORDS}; compare creators of one size only",
    ),
    # insiderness
    lexical(
        name="insider_share",
        concept="insiderness",
        estimate=share(cue("insider"), eligible),
        caveat=f"threads that speak as of a circle; {WORDS}; jargon of a subject is not counted",
    ),
    # loyalty
    metadata(
        name="returning_share",
        of_size=True,
        concept="loyalty",
        estimate=behaviours.returning,
        caveat="followers of the later half of the comments who were there in the earlier half; "
        "meaningless where only top comments were fetched",
    ),
    metadata(
        name="core_size",
        of_size=True,
        concept="loyalty",
        unit="followers",
        estimate=behaviours.core_size,
        caveat="Chao's lower bound of the followers who comment at all",
    ),
    metadata(
        name="comment_gini",
        of_size=True,
        concept="loyalty",
        unit="0 to 1",
        estimate=behaviours.concentration(sampling.gini),
        caveat="inequality of comments a follower; grows with n, compare at equal n",
    ),
    metadata(
        name="top_tenth_share",
        of_size=True,
        concept="loyalty",
        estimate=behaviours.concentration(sampling.top_share),
        caveat="comments by the busiest tenth of those who comment",
    ),
    # qualities
    lexical(
        name="gulpease",
        concept="quality_message",
        unit="0 to 100",
        least=MIN_POSTS,
        estimate=behaviours.gulpease,
        caveat="readability of captions (Lucisano & Piemontese 1988), made for prose",
    ),
    # InflUtility
    lexical(
        name="trust_per_100",
        concept="trust",
        unit=PER_100,
        estimate=per_100(cue("trust"), eligible),
        caveat=f"trust expressed, by those who follow anyway; {WORDS}",
    ),
    model(
        name="regret_share",
        reads=(("purchase_signal", "regret"),),
        concept="trust",
        estimate=share(
            said("purchase_signal", "regret"),
            said("purchase_signal", "report", "regret"),
            "reports of purchases",
        ),
        caveat=f"regrets among reported purchases; {AS_READ}",
    ),
    # growth
    metadata(
        name="engagement_elasticity",
        concept="growth",
        unit="elasticity",
        least=behaviours.MIN_POSTS_OF_GROWTH,
        estimate=behaviours.engagement_elasticity,
        caveat="comments a post for one per cent more followers, time held still; bought followers "
        "and changes of the platform look the same",
    ),
    # word of mouth, purchases
    lexical(
        name="word_of_mouth_per_100",
        concept="word_of_mouth",
        unit=PER_100,
        estimate=per_100(cue("word_of_mouth"), eligible),
        caveat=f"followers who pass something on; giveaway mechanics may be among them; {WORDS}",
    ),
    model(
        name="purchases_per_100",
        concept="purchase",
        unit=PER_100,
        estimate=reading("purchase_signal", ("intent", "report"), eligible, scale=100),
        caveat="followers who will buy or have bought, of all threads; self-report, no cause",
    ),
)
