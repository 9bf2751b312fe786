"""What does the running Onepeer say of itself, and each router of us? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from speaker.config import Router
from speaker.doctor.facts import Facts, Knock, Knocked
from speaker.doctor.findings import Finding, ok, problem, warning
from speaker.serve.views import LeadView, RouterView

UP = "Established"


def onepeer(facts: Facts) -> Iterator[Finding]:
    """Whether one runs, which, and what it has to complain of."""
    status = facts.status
    if status is None:
        if facts.mute:
            way_out = (
                "where Onepeer runs, run onepeer doctor as its user or as root: else what is its own looks foreign"
            )
            yield warning("there is a control socket, and nobody to ask", facts.silent, way_out)
        else:
            yield ok(facts.silent)
        return
    if status.version != facts.version:
        why = f"it is version {status.version}, this command is {facts.version}"
        yield warning("the running Onepeer is another version", why, "restart it, or use its own onepeer command")
    else:
        yield ok(f"Onepeer {status.version} runs, {status.health.value}, with {status.settings_file}")
    if status.settings_problem:
        way_out = "put the file right: it is taken up when it changes"
        yield problem("the running Onepeer has refused a changed settings file", status.settings_problem, way_out)
    for text in status.warnings:
        yield warning("the running Onepeer warns", text, "see onepeer status")


def roster(facts: Facts) -> Iterator[Finding]:
    """Who may peer."""
    said = facts.status.roster.problem if facts.status else None
    if facts.roster_problem:
        yield problem("the roster cannot be read", facts.roster_problem, "see onepeer check")
    elif said:
        yield problem("the running Onepeer has refused the newest roster", said, "the last good one is in force")
    elif facts.roster == 0:
        yield warning("the roster is empty", "no node may peer", "see the nodes of the settings")
    elif facts.roster is not None:
        yield ok(f"addresses of nodes that may peer: {facts.roster}")


def routers(facts: Facts) -> Iterator[Finding]:
    """The session and what the router offers; where there is none, what comes of a call."""
    shown = {router.name: router for router in facts.status.routers} if facts.status else {}
    for router in facts.settings.routers:
        knocks = [knock for knock in facts.knocks if knock.router == router.name]
        view = shown.get(router.name)
        up = view is not None and any(lane.session.state == UP for lane in view.lanes)
        if view is not None and view.lead is not None:
            yield from _lead(view.name, view.lead)
        if view is not None and up:
            yield from _session(view)
        elif router.connect == "passive":
            yield ok(f"router {router.name} dials us (connect: passive), so it was not called")
        for knock in () if up else knocks:
            yield _knock(router, knock)


def _lead(name: str, lead: LeadView) -> Iterator[Finding]:
    """Who speaks to it, and what is in the way of that."""
    if lead.problem:
        yield problem(f"router {name}: its Lease cannot be kept", lead.problem, "see RBAC and the API server below")
    if lead.conflict:
        why = f"the host with the MAC address {lead.conflict} has it"
        yield problem(f"router {name}: the address is taken", why, "give local_addresses addresses that no host has")
    if not lead.leader:
        why = "no replica has its Lease and its addresses, so it gets nothing"
        yield problem(f"router {name}: nobody leads", why, "see the log for takeover_trouble")
    elif lead.role != "leads":
        yield ok(f"router {name}: {lead.leader} leads, this replica follows with {lead.mirrored} of its sessions")
    elif not lead.followers:
        yield warning(f"router {name}: nobody follows", "no replica could go on if this one ends", "see onepeer status")
    else:
        yield ok(f"router {name}: this replica leads, {', '.join(lead.followers)} could go on")


def _session(view: RouterView) -> Iterator[Finding]:
    up = [lane for lane in view.lanes if lane.session.state == UP]
    down = [lane for lane in view.lanes if lane.session.state != UP]
    for lane in up:
        modes = ", ".join(f"{family.family} {family.mode}" for family in lane.families if family.mode)
        offers = ", ".join(lane.session.capabilities)
        yield ok(f"router {view.name} from {lane.local_address}: {UP}; {modes or 'no mode yet'}; agreed: {offers}")
    for lane in down:
        end = lane.session.last_end
        why = f"{lane.session.state}; {end.text}" if end else lane.session.state
        way_out = "has the router a neighbor line for this address? onepeer router lines prints it"
        yield problem(f"router {view.name} from {lane.local_address}: no session", why, way_out)
    modes_up = {family.mode for lane in up for family in lane.families}
    if "spread" in modes_up:
        way_out = "let the router take ADD-PATH, or give it several local_addresses: docs/routers.md"
        yield warning(f"router {view.name} has one next hop of each service", "mode spread", way_out)


def _knock(router: Router, knock: Knocked) -> Finding:
    where = f"router {router.name} ({router.address} port {router.port})"
    whence = f" from {knock.local}" if knock.local else ""
    if knock.result is Knock.ANSWERS or (knock.result is Knock.HANGS_UP and knock.local is None):
        return ok(f"{where} takes a call{whence}")
    if knock.result is Knock.HANGS_UP:
        way_out = "onepeer router lines prints the line to type"
        return problem(f"{where} hangs up at once{whence}", "it has no neighbor line for this address", way_out)
    if knock.result is Knock.REFUSED:
        way_out = "is BGP configured and running there, and on this port?"
        return problem(f"{where} refuses the connection{whence}", "nothing listens there for us", way_out)
    if knock.result is Knock.SILENT:
        password = "a password on one side alone, or a wrong one; " if router.password_file else "a password there; "
        way_out = f"look for {password}a firewall, or an address that is off"
        return problem(f"{where} does not answer{whence}", "no answer within 3 s", way_out)
    return problem(f"{where} cannot be called{whence}", knock.text, "see the addresses and links above")
