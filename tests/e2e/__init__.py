"""Onepeer in a cluster: etcd, kube-apiserver and MetalLB's own programs in network namespaces, deploy/ as it stands.

    client ── router .1 ──┬── leviathan1  .31   native, Onepeer's pod      192.168.3.0/24
             (FRR)        ├── leviathan2  .32   native
                          ├── leviathan3  .33   frr-k8s
                          ├── leviathan4  .34   native, not in the cluster until a test says so
                          ├── stranger    .66
                          └── cluster     .100  etcd, kube-apiserver, kube-controller-manager, MetalLB's controller

What no part of Kubernetes is here for: kubelet (kubelet.py does its work with Onepeer's pod, container by
container), kube-proxy (each node has the service addresses on lo), the scheduler (the tests bind the pod).
"""
