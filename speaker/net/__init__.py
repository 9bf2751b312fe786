"""Sockets: what BGP asks of TCP. Knows sessions (bgp/), not routes."""
