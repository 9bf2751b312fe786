"""What stands in Onepeer's way, on this host, on the way to the routers and in the cluster?"""
