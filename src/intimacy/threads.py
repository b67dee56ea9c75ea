"""Flat comments of an export become threads: reply links, roles, pseudonyms, order.

The rules are the same for every importer:

1. Duplicate ids are merged. 2. A comment without parent, or whose parent is ``root``, ``0`` or
the post, opens a thread. 3. Replies are followed up to their root; a cycle is cut at its first
comment and counted. 4. A reply whose parent is missing is attached to the nearest ancestor that
its id names, else it opens a thread under the missing id; it is counted as an orphan and never
dropped. 5. Within a thread a parent stands before its replies; then exact times decide, else
the order of the file (estimated times never reorder). 6. A deleted comment keeps its place, with
empty text. 7. A thread is incomplete when the platform counts more replies than are there.
"""

from __future__ import annotations

import heapq
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from importlib import resources

import msgspec

from intimacy import text as texts
from intimacy.errors import CreatorUnknownError, RoleError, ThreadError
from intimacy.schema import Comment, ImportReport, Role, Thread, Turn

_ROOTS = frozenset({"root", "0", ""})
MIN_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatorRule:
    """How the creator's own comments are told from the others, strongest evidence first."""

    explicit: str | None = None
    """Id or handle that the caller named."""
    nobody: bool = False
    """The caller said outright that every turn is a follower's."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """Id or handle that the export names as the owner: value → rule it came from, e.g.
    ``{"UC…": "channel_id", "giuliaesempio": "sibling_file"}``."""
    several: bool = False
    """The export is about the posts of more than one creator."""
    has_flags: bool = False
    """The export marks each comment itself."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role by comment id, from the caller."""

    def decidable(self) -> bool:
        """Whether anything could recognise a creator turn."""
        return bool(self.explicit or self.nobody or self.hints or self.has_flags or self.roles)

    def decide(self, comment: Comment) -> tuple[bool, str]:
        """Whether the creator wrote ``comment``, and by which rule that was seen."""
        if comment.id in self.roles:
            return self.roles[comment.id] == Role.CREATOR, "roles"
        if self.nobody:
            return False, "creator=None"
        names = _names(comment)
        if self.explicit is not None:
            return texts.handle(self.explicit) in names, "creator="
        if comment.is_creator is not None:
            return comment.is_creator, "flag"
        owner = comment.post.creator_id
        for hint, rule in self.hints.items():
            # In a file about several creators each is one only under their own posts.
            if texts.handle(hint) in names and (not self.several or hint == owner):
                return True, rule
        return False, "hint"


def _names(comment: Comment) -> frozenset[str]:
    return frozenset(texts.handle(n) for n in (comment.author_id, comment.author_name) if n)


@dataclass(frozen=True, slots=True)
class _StaffRule:
    version: str
    patterns: tuple[re.Pattern[str], ...]

    def signs(self, text: str) -> bool:
        return any(p.search(text) for p in self.patterns)


@lru_cache(maxsize=1)
def staff_rule() -> _StaffRule:
    """The versioned signatures by which somebody signs for the creator or the brand."""
    raw = (resources.files("intimacy") / "resources" / "staff_signatures.json").read_bytes()
    data = msgspec.json.decode(raw)
    return _StaffRule(
        data["version"], tuple(re.compile(p, re.IGNORECASE) for p in data["patterns"])
    )


def check_key(key: bytes | str | None) -> tuple[bytes, bool]:
    """The key for pseudonyms, and whether it is the project's own.

    Raises:
        ThreadError: When the key is too short to protect anybody.
    """
    if key is None:
        return secrets.token_bytes(32), False
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) < MIN_KEY_BYTES:
        raise ThreadError(
            f"the key has {len(raw)} bytes; expected at least {MIN_KEY_BYTES}. "
            "Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return raw, True


def build(
    comments: Iterable[Comment],
    *,
    format: str,
    creator: CreatorRule,
    key: bytes | str | None = None,
    mask: bool = True,
    n_skipped: int = 0,
    notes: Sequence[str] = (),
) -> tuple[list[Thread], ImportReport]:
    """Build threads out of flat comments.

    Args:
        comments: Comments in file order.
        format: Name of the export format, for the report.
        creator: How creator turns are recognised.
        key: Secret under which followers keep their pseudonyms from one import to the next;
            None draws one for this call.
        mask: Whether handles, e-mails, links and phones in the turns are masked.
        n_skipped: Rows that the importer could not read.
        notes: What the importer has to say.

    Returns: Threads in the order of their first comment, and the report.

    Raises:
        CreatorUnknownError: When nothing can recognise the creator.
        RoleError: When ``creator.roles`` names a role that does not exist.
    """
    for role in set(creator.roles.values()) - {r.value for r in Role}:
        raise RoleError(f"roles has {role!r}; expected one of: {', '.join(Role)}")
    secret, mergeable = check_key(key)
    kept: dict[tuple[str | None, str], Comment] = {}
    n_rows = n_duplicates = 0
    for comment in comments:
        n_rows += 1
        slot = (comment.post.id, comment.id)
        if slot in kept:
            n_duplicates += 1
            if comment.pinned and not kept[slot].pinned:
                kept[slot] = comment
        else:
            kept[slot] = comment
    if kept and not creator.decidable():
        why = "; ".join(notes) or "the export does not say who owns the post"
        raise CreatorUnknownError(
            f"{n_rows} comments read as {format}, but none can be attributed to the creator: "
            f"{why}. Pass creator='@handle' or the account id, or creator=None to treat every "
            "turn as a follower's (on the command line --creator or --no-creator)"
        )
    roots, n_orphans, n_cycles = _roots(kept)
    groups: dict[tuple[str | None, str], list[tuple[str | None, str]]] = {}
    for slot, root in roots.items():
        groups.setdefault(root, []).append(slot)
    sources: Counter[str] = Counter()
    authored: dict[tuple[str | None, str], bool] = {}
    for slot, comment in kept.items():
        authored[slot], rule = creator.decide(comment)
        if authored[slot]:
            sources[rule] += 1
    # Where the export marks the creator's comments without naming the account, one of them does.
    found = next((c.author_id or c.author_name for s, c in kept.items() if authored[s]), None)
    threads = [
        _thread(
            root,
            [kept[s] for s in slots],
            [authored[s] for s in slots],
            creator,
            secret,
            mask,
            found,
            missing=root not in kept,
        )
        for root, slots in groups.items()
    ]
    said = list(notes)
    if creator.explicit and kept and not sources:
        said.append(f"creator={creator.explicit!r} wrote none of the {len(kept)} comments")
    if not mergeable:
        said.append("pseudonyms made with a random key: results cannot be merged by follower")
    if kept and all(t.n_turns == 1 for t in threads):
        said.append("no replies in this export: reply rate and reciprocal are not measurable")
    report = ImportReport(
        format=format,
        n_rows=n_rows + n_skipped,
        n_threads=len(threads),
        n_orphans=n_orphans,
        n_cycles=n_cycles,
        n_duplicates=n_duplicates,
        n_skipped=n_skipped,
        n_incomplete=sum(t.complete is False for t in threads),
        n_threads_with_creator=sum(t.has_creator_turn for t in threads),
        role_source=dict(sources),
        mergeable=mergeable,
        notes=tuple(said),
    )
    return threads, report


def _roots(
    kept: Mapping[tuple[str | None, str], Comment],
) -> tuple[dict[tuple[str | None, str], tuple[str | None, str]], int, int]:
    """Root of every comment; numbers of orphans and of cycles."""
    roots: dict[tuple[str | None, str], tuple[str | None, str]] = {}
    n_orphans = n_cycles = 0
    rank = {slot: i for i, slot in enumerate(kept)}
    for start in kept:
        path: list[tuple[str | None, str]] = []
        on_path: set[tuple[str | None, str]] = set()
        slot = start
        while True:
            if slot in roots:
                root = roots[slot]
                break
            if slot in on_path:
                # The first comment of the cycle in file order stands for its root.
                root = min(path[path.index(slot) :], key=rank.__getitem__)
                n_cycles += 1
                break
            path.append(slot)
            on_path.add(slot)
            comment = kept[slot]
            parent = _parent(comment)
            if parent is None:
                root = slot
                break
            above = (slot[0], parent)
            if above not in kept:
                n_orphans += 1
                encoded = (slot[0], comment.id.split(".", 1)[0])
                if encoded in kept and encoded != slot:
                    above = encoded
                else:
                    root = above
                    break
            slot = above
        for member in path:
            roots[member] = root
    return roots, n_orphans, n_cycles


def _parent(comment: Comment) -> str | None:
    parent = comment.parent_id
    if parent is None or parent in _ROOTS or parent == comment.post.id:
        return None
    return parent


def _thread(
    root: tuple[str | None, str],
    comments: list[Comment],
    authored: list[bool],
    creator: CreatorRule,
    key: bytes,
    mask: bool,
    creator_id: str | None,
    *,
    missing: bool,
) -> Thread:
    order = _order(comments, root[1])
    post = comments[0].post
    if creator.explicit is not None:
        post = replace(post, creator_id=creator.explicit)
    elif creator.nobody:
        post = replace(post, creator_id=None)
    elif post.creator_id is None:
        post = replace(post, creator_id=creator_id)
    domain = post.creator_id or f"post {post.id}"
    own = frozenset(
        texts.handle(name)
        for i, is_creator in enumerate(authored)
        if is_creator
        for name in (comments[i].author_name, post.creator_id)
        if name
    )
    turns = tuple(
        _turn(comments[i], authored[i], creator, post.creator_id, domain, key, mask, own)
        for i in order
    )
    head = comments[order[0]]
    declared = head.declared_replies
    complete: bool | None = None if declared is None else len(turns) - 1 >= declared
    return Thread(id=root[1], post=post, turns=turns, complete=False if missing else complete)


def _turn(
    comment: Comment,
    is_creator: bool,
    creator: CreatorRule,
    creator_id: str | None,
    domain: str,
    key: bytes,
    mask: bool,
    own: frozenset[str],
) -> Turn:
    body = texts.clean(comment.text)
    if comment.id in creator.roles:
        role = Role(creator.roles[comment.id])
    elif is_creator:
        role = Role.STAFF if staff_rule().signs(body) else Role.CREATOR
    else:
        role = Role.FOLLOWER
    author = comment.author_id or comment.author_name
    if role is Role.FOLLOWER:
        author_id = None if author is None else texts.pseudonym(key, domain, author)
    else:
        author_id = creator_id
    return Turn(
        role=role,
        text=texts.mask_pii(body, keep=own) if mask else body,
        id=comment.id,
        author_id=author_id,
        created_at=comment.created_at,
        created_at_is_estimate=comment.created_at_is_estimate,
        parent_id=_parent(comment),
        likes=comment.likes,
        creator_liked=comment.creator_liked,
    )


def _order(comments: list[Comment], root_id: str) -> list[int]:
    """Indices of the comments, parents first, then by exact time, else as in the file."""
    exact = all(c.created_at is not None and not c.created_at_is_estimate for c in comments)
    index = {c.id: i for i, c in enumerate(comments)}
    children: dict[int | None, list[int]] = {}
    for i, comment in enumerate(comments):
        parent = None if comment.id == root_id else index.get(_parent(comment) or "")
        if parent is None and comment.id != root_id:
            parent = index.get(root_id)
        children.setdefault(parent, []).append(i)

    def rank(i: int) -> tuple[datetime | int, int]:
        time = comments[i].created_at
        return (time, i) if exact and time is not None else (i, i)

    heap = [(rank(i), i) for i in children.get(None, ())]
    heapq.heapify(heap)
    out: list[int] = []
    while heap:
        _, i = heapq.heappop(heap)
        out.append(i)
        for child in children.get(i, ()):
            heapq.heappush(heap, (rank(child), child))
    if len(out) < len(comments):
        # Members of a cycle other than its root hang on nobody; they follow in file order.
        seen = set(out)
        out.extend(i for i in range(len(comments)) if i not in seen)
    return out
