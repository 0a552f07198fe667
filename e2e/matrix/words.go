package matrix

// introduction of the page.
const introduction = `# Fidelity: the model beside the real agent

Written by ` + "`go test ./e2e/matrix -update`" + ` from what real agents did; do not edit.
How Cilium's releases start, and with which configurations they do not:
[fidelity-startup.md](fidelity-startup.md).

Each row is a flow that was sent between real cilium-agents in network namespaces:
three nodes, dual stack, real pods attached by cilium-cni, real kube-apiserver, BPF
programs compiled by the agent. Beside it stands what the model of detect/datapath says
of it. The configuration is what Cilium's own chart renders of the Helm values shown,
over those of [e2e/matrix](../e2e/matrix/configs.go).

| word | means |
|---|---|
| a1, b1, c1 | pods of node-1: a and c in namespace team-a, b in team-b |
| s1 | the ClusterIP whose only backend is b1 |
| router-1 | the address of node-1's cilium_host |
| near, wide, far | hosts outside: on the nodes' segment, in fd00:101::/32 and 10.101.0.0/16 only, and in none of them |
| source pod, node, router, outside | whose address the receiver saw; for a packet that was dropped, whose the receiver's node saw |
| identity | whom the receiver's node took the sender for; pod is the sender's own |
| ingress, egress | verdicts of the receiver's and the sender's policies; nothing where no policy selects the pod |
| masquerading | who changed the source of a pod's packet; off for nobody |

What was not observable of a flow is not compared: a packet that is lost on its way has
no source at the receiver, a host outside knows no identities.

`

// uncovered stands above what no row runs.
const uncovered = `## What no row runs

These statements of the model's walk (file, function, first line) speak of what a
snapshot may lack, which the testbed never does; of IPAM modes and features whose answer
is "unknown" (encryption, egress gateway, host firewall, multi-pool, cloud IPAM); of
kube-proxy, which does not run here; and of an analysis' own ends.

`
