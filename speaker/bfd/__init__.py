"""Does a node's speaker still hear us, and we it? BFD (RFC 5880) over one hop (RFC 5881), pure."""
