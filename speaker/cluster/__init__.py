"""What the cluster says. Readers need only the names here; a source is made where the settings choose it."""

from speaker.cluster.base import Allowed, Network, Node, Roster, RosterProblem, RosterSource

__all__ = ["Allowed", "Network", "Node", "Roster", "RosterProblem", "RosterSource"]
