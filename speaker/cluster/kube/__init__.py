"""What the cluster says, by the Kubernetes API. `cluster.py` is what app.py runs; the rest are its parts.

    client.py     one request or one stream of lines; every failure is an ApiError
    mirror.py     what to ask next and what the answers mean: pure, the time is an argument
    reflector.py  the loop that does what a Mirror says
    nodes.py      Node objects -> the roster          pools.py    pools -> what the guard lets in
    bgppeers.py   MetalLB's side of the sessions      events.py   what `kubectl describe node` shows
    saved.py      the last good answers, for a start without the API

The library of the Kubernetes project is imported when the first request is made, and not by a roster that is a
file: it takes 0.4 s and 20 MB.
"""
