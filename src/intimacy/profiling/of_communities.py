"""Measures of what the community does, and of both together."""

from __future__ import annotations

from intimacy.profiling import behaviours, sampling
from intimacy.profiling.index import (
    AS_READ,
    PER_100,
    WORDS,
    Index,
    about_goods,
    answered,
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
    with_creator,
)

replied = share(answered, mature)


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
        least=behaviours.MIN_POSTS,
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
        concept="loyalty",
        estimate=behaviours.returning,
        caveat="followers of the later half seen in the earlier, at equal numbers of comments; "
        "meaningless where only top comments were fetched",
    ),
    metadata(
        name="core_size",
        concept="loyalty",
        unit="followers",
        estimate=behaviours.core_size,
        caveat="Chao's lower bound of the followers who comment at all",
    ),
    metadata(
        name="comment_gini",
        concept="loyalty",
        unit="0 to 1",
        estimate=behaviours.concentration(sampling.gini),
        caveat="inequality of comments a follower; grows with n, compare at equal n",
    ),
    metadata(
        name="top_tenth_share",
        concept="loyalty",
        estimate=behaviours.concentration(sampling.top_share),
        caveat="comments by the busiest tenth of those who comment",
    ),
    # qualities
    metadata(
        name="gulpease",
        concept="quality_message",
        unit="0 to 100",
        source="lexicon",
        experimental=True,
        least=behaviours.MIN_POSTS,
        estimate=behaviours.gulpease,
        caveat="readability of captions (Lucisano & Piemontese 1988), made for prose",
    ),
    lexical(
        name="quality_content",
        concept="quality_content",
        needs="creator",
        estimate=behaviours.mean_of(
            reading("informs", (True,), answered), share(cue("source"), with_creator)
        ),
        caveat="plain mean of explained answers and answers with a source",
    ),
    lexical(
        name="quality_creator",
        least=behaviours.MIN_POSTS,
        concept="quality_creator",
        needs="creator",
        estimate=behaviours.mean_of(replied, behaviours.transparency, behaviours.consistency),
        caveat="plain mean of reply rate, transparency and consistency; missing where one is",
    ),
    lexical(
        name="quality_community",
        source="model",
        concept="quality_community",
        estimate=behaviours.mean_of(
            reading("stance", ("supportive",), eligible), behaviours.returning
        ),
        caveat="plain mean of supportive threads and returning followers; inequality stands apart",
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
    lexical(
        name="credibility",
        least=behaviours.MIN_POSTS,
        concept="credibility",
        needs="creator",
        estimate=behaviours.mean_of(
            share(cue("source"), both(with_creator, said("informs", True))),
            share(cue("correction"), both(with_creator, said("stance", "critical"))),
            behaviours.transparency,
        ),
        caveat="plain mean of answers with a source, corrections accepted and transparency; no "
        "weighting is claimed to be best",
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
        unit="per 100 threads about goods",
        estimate=reading("purchase_signal", ("intent", "report"), about_goods, scale=100),
        caveat="intents and reports among threads about goods; self-report, no cause",
    ),
)
