"""The replicas of one Onepeer: which leads, what it tells the others, and how one takes over."""
