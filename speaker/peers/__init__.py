"""Neighbors at work: a session of bgp/ on a connection of net/, joined to the reflector, and what is said of it."""
