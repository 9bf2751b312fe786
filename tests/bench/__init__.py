"""How fast Onepeer reflects, beside BIRD, FRR, OpenBGPD and GoBGP: `python -m tests.bench`."""
