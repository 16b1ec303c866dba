"""What joins and pushes make of the list of a room's members. Decides only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .events import Member, MemberChange, MemberList, PresenceChange
from .frames import member_of

NOBODY = MemberList()


def from_snapshot(snapshot: Mapping[str, Any]) -> MemberList:
    """The whole list, from a join or because the node says so."""
    members = tuple(map(member_of, snapshot["members"]))
    return MemberList(members, snapshot["count"], bool(snapshot.get("partial")))


def after_member(known: MemberList, event: MemberChange) -> MemberList:
    """`who` None: the room has become large, and nobody knows any more who is here. One that becomes small is told as a whole."""
    if event.who is None or known.partial:
        return MemberList((), event.count, True)
    if event.change == "joined":
        return MemberList(_with(known, event.who), event.count)
    gone = event.who.connection
    return MemberList(tuple(one for one in known.members if one.connection != gone), event.count)


def after_presence(known: MemberList, event: PresenceChange) -> MemberList:
    return known if known.partial else MemberList(_with(known, event.who), known.count)


def _with(known: MemberList, who: Member) -> tuple[Member, ...]:
    """In the order in which they came. An event may tell what the list has already: it changes nothing then."""
    if any(one.connection == who.connection for one in known.members):
        return tuple(who if one.connection == who.connection else one for one in known.members)
    return (*known.members, who)
