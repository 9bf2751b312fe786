"""What does a failure cost? Three replicas, MetalLB's own speakers, a real API server, a router, and packets.

    client ── router .1 ──┬── leviathan1  .31   speaker and replica       192.168.3.0/24
          FRR or BIRD     ├── leviathan2  .32   speaker and replica
                          ├── leviathan3  .33   speaker and replica
                          ├── leviathan4  .34   speaker
                          ├── leviathan5  .35   speaker
                          └── cluster     .100  etcd, kube-apiserver, MetalLB's controller

    the router's neighbor is .10 (lanes: .10 to .13), which the leader holds

`make failures` runs every row of rows.py on every router of routers.py several times and writes docs/failures.md;
`pytest tests/failures` runs each row once on one router, with the goals as assertions.
"""
