"""The smallest settings that work, as the reference page has them."""

GOOD = """\
asn: 64512
listen: {addresses: [192.168.3.10]}
routers:
  - address: 192.168.3.1
nodes: {file: nodes.yaml}
guard: {prefixes: [192.168.30.0/24]}
"""
