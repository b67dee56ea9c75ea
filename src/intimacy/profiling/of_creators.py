"""Measures of what the creator does: answers, tells its sources, labels its advertising."""

from __future__ import annotations

from intimacy.profiling import behaviours
from intimacy.profiling.index import (
    AS_READ,
    MIN_POSTS,
    PER_100,
    WORDS,
    Ask,
    Index,
    about_goods,
    answered,
    both,
    but_not,
    cue,
    eligible,
    gap,
    lexical,
    mature,
    metadata,
    model,
    organic,
    product,
    reading,
    replied,
    said,
    share,
    sponsored,
    with_creator,
)

_CONTINGENT = reading("creator_response", ("contingent",), answered)


def _reply_to(kind: str, ask: Ask, *reads: tuple[str, object]) -> Index:
    return Index(
        name=f"reply_rate_{kind}",
        concept="selectivity",
        source="lexicon" if kind == "question" else "model",
        signs=kind == "praise",
        experimental=kind == "question",
        reads=reads,
        needs="creator",
        estimate=share(answered, both(mature, ask)),
        caveat=f"which threads are meant is {AS_READ}, from the answers as well"
        if kind != "question"
        else WORDS,
    )


_QUESTION = both(eligible, cue("question"))
_PRAISE = both(eligible, said("stance", "supportive"), but_not(cue("question")))
_CONFIDED = both(eligible, said("follower_disclosure", 2, 3))
_CRITICISM = both(eligible, said("stance", "critical"))
_HOSTILE = both(eligible, said("stance", "hostile"))


INDICES: tuple[Index, ...] = (
    # responsiveness
    metadata(
        name="reply_rate",
        concept="responsiveness",
        needs="creator",
        estimate=replied,
        caveat="any creator turn counts; hearts, direct messages and unfetched replies are unseen",
    ),
    model(
        name="contingent_reply_rate",
        concept="responsiveness",
        needs="creator",
        estimate=product(replied, _CONTINGENT),
        caveat="replies that take up what was said, corrected for how the model errs on them",
    ),
    metadata(
        name="reply_latency_hours",
        concept="responsiveness",
        unit="hours",
        needs="creator",
        estimate=behaviours.reply_latency,
        caveat="Kaplan–Meier median; estimated times are rough; not reached where few are answered",
    ),
    metadata(
        name="replies_per_100",
        concept="responsiveness",
        unit=PER_100,
        needs="creator",
        estimate=behaviours.replies_per_100,
        caveat="all creator turns, several in a thread among them",
    ),
    # selectivity
    _reply_to("question", _QUESTION),
    _reply_to("praise", _PRAISE, ("stance", "supportive")),
    _reply_to("confidence", _CONFIDED, ("follower_disclosure", 2), ("follower_disclosure", 3)),
    _reply_to("criticism", _CRITICISM, ("stance", "critical")),
    _reply_to("hostility", _HOSTILE, ("stance", "hostile")),
    model(
        name="criticism_gap",
        concept="selectivity",
        reads=(("stance", "critical"), ("stance", "supportive")),
        signs=True,
        unit="difference",
        needs="creator",
        estimate=gap(
            share(answered, both(mature, _CRITICISM)),
            share(answered, both(mature, _PRAISE)),
        ),
        caveat=f"reply rate to criticism less that to praise; {AS_READ}",
    ),
    # social presence, in parts
    lexical(
        name="asks_back_share",
        concept="presence",
        needs="creator",
        estimate=share(cue("asks_back"), with_creator),
    ),
    lexical(
        name="first_person_share",
        concept="presence",
        needs="creator",
        estimate=share(cue("first_person"), with_creator),
    ),
    lexical(
        name="emoji_share",
        concept="presence",
        needs="creator",
        estimate=share(cue("emoji"), with_creator),
        caveat="a habit of platforms and ages as much as of people",
    ),
    # transparency
    lexical(
        name="transparency",
        concept="transparency",
        least=MIN_POSTS,
        estimate=behaviours.transparency,
        caveat="A / (A + B + U) of posts: sufficient label in position, weaker label, signs of "
        "commerce without one; U is suspicion, not a verdict",
    ),
    lexical(
        name="label_in_position",
        concept="transparency",
        least=MIN_POSTS,
        estimate=behaviours.in_position,
        caveat="of labelled posts, those whose label comes first or among the first three hashtags",
    ),
    lexical(
        name="honest_when_asked",
        concept="transparency",
        needs="creator",
        estimate=share(
            cue("says_sponsored"), both(mature, cue("asks_sponsored")), "such questions"
        ),
        caveat=f"threads asking whether it is advertising that get a clear answer; {WORDS}",
    ),
    # consistency
    model(
        name="consistency",
        of_size=True,
        concept="consistency",
        unit="0 to 1",
        least=2 * behaviours.WINDOW_THREADS,
        estimate=behaviours.consistency,
        caveat="1 − √JSD of the counted mix of consecutive 90-day windows; campaigns and changes "
        "of the platform look like the creator's",
    ),
    # care or person
    metadata(
        name="staff_share",
        concept="care",
        needs="creator",
        estimate=behaviours.staff_share,
        caveat="replies signed by staff; assistants who write in the first person cannot be seen",
    ),
    lexical(
        name="template_share",
        of_size=True,
        concept="care",
        needs="creator",
        estimate=behaviours.template_share,
        caveat="replies of the account whose words come three times or more",
    ),
    lexical(
        name="personal_reply_share",
        concept="care",
        needs="creator",
        estimate=share(cue("personal_address"), with_creator),
    ),
    lexical(
        name="personal_index",
        concept="care",
        needs="creator",
        estimate=share(
            both(said("creator_response", "contingent"), cue("personal_address")), answered
        ),
        caveat="contingent and personally addressed, of answered threads",
    ),
    metadata(
        name="reply_hour_entropy",
        of_size=True,
        concept="care",
        unit="0 to 1",
        needs="creator",
        estimate=behaviours.hour_entropy,
        caveat="1 is any hour of the day, office hours are about 0.7; in UTC",
    ),
    # expertise
    model(
        name="explained_share",
        concept="expertise",
        experimental=True,
        signs=True,
        needs="creator",
        estimate=reading("informs", (True,), both(answered, cue("question"))),
        caveat="answered questions in which the creator explains, corrects or gives a source",
    ),
    lexical(
        name="credential_share",
        concept="expertise",
        least=MIN_POSTS,
        estimate=behaviours.posts_with("credential"),
        caveat="posts that claim a qualification; claims are not credentials, the bio is unseen",
    ),
    # neutrality toward brands
    lexical(
        name="brand_concentration",
        of_size=True,
        concept="neutrality",
        unit="0 to 1",
        least=MIN_POSTS,
        estimate=behaviours.brand_concentration,
        caveat="probability that two disclosures name one brand; few posts, wide interval",
    ),
    lexical(
        name="reserve_share",
        concept="neutrality",
        needs="creator",
        estimate=share(
            cue("faults"),
            both(with_creator, about_goods, cue("praises", "faults")),
            "judgements of products",
        ),
        caveat=f"the creator's judgements of products that name a fault; {WORDS}",
    ),
    lexical(
        name="sponsored_praise_gap",
        concept="neutrality",
        unit="difference",
        needs="creator",
        estimate=gap(
            share(cue("praises"), both(with_creator, about_goods, sponsored)),
            share(cue("praises"), both(with_creator, about_goods, organic)),
        ),
        caveat=f"product threads in which the creator praises, under labelled posts less the rest; "
        f"{WORDS}",
    ),
    # gatekeeper, sense-maker
    lexical(
        name="correction_share",
        concept="gatekeeping",
        needs="creator",
        estimate=share(cue("correction"), both(with_creator, said("stance", "critical"))),
        caveat=f"critical threads in which the creator accepts a correction; {WORDS}",
    ),
    lexical(
        name="sourced_share",
        concept="gatekeeping",
        needs="creator",
        estimate=share(cue("source"), both(with_creator, said("informs", True))),
        caveat=f"explanations with a named source; truth is not checked; {WORDS}",
    ),
    lexical(
        name="vague_source_share",
        concept="gatekeeping",
        needs="creator",
        estimate=share(
            both(cue("vague_source"), but_not(cue("source"))),
            both(with_creator, cue("vague_source", "source")),
            "sources",
        ),
        caveat=f"sources invoked without a name, of all invoked; {WORDS}",
    ),
    lexical(
        name="sense_making_share",
        concept="sense_making",
        needs="creator",
        estimate=share(both(cue("explains"), said("informs", True)), with_creator),
        caveat="explanations with reasons, of threads with the creator; nobody validated it",
    ),
    # testimonial or collaborator
    lexical(
        name="sponsored_reply_gap",
        concept="collaboration",
        unit="difference",
        needs="creator",
        estimate=gap(
            share(answered, both(mature, sponsored)),
            share(answered, both(mature, organic)),
        ),
        caveat="reply rate under labelled posts less the rest",
    ),
    lexical(
        name="lasting_brand_share",
        concept="collaboration",
        least=MIN_POSTS,
        estimate=behaviours.lasting_brands,
        caveat="labelled posts whose brand comes in three posts or more over 90 days; how far the "
        "text is the brand's own cannot be seen",
    ),
)
