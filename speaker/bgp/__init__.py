"""The BGP protocol: bytes and events in, actions out. No sockets, no clock, no logging."""
