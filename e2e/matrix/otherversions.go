package matrix

// otherVersions stands above what was measured on other versions of Cilium.
const otherVersions = `## Other versions of Cilium

Agents of other versions got the same beds, but for the ways of masquerading beyond the
core: each with the configuration that its own chart renders of the same Helm values, and
the model asked about that version. How they are built is told in
[fidelity-startup.md](fidelity-startup.md). No operator runs in any of the clusters, for
Node objects have the pods' ranges and agents allocate identities themselves; that the
operator of 1.20.2 cannot be built changes nothing here.

`

// versionsFound is what that has shown.
const versionsFound = `What holding the model against them has shown, each with the versions that it is of in
model and tests:

- Since 1.19 a selector of pods that names no cluster means the own one, by the agent's
  default (policy-default-local-cluster) and the chart's. Up to 1.18 an agent so configured
  refuses every NetworkPolicy with an ipBlock under ingress; since 1.19 it takes it
  (pkg/k8s/network_policy.go:76-83, 1.19.6). The model called verdicts of such policies
  unknown on every cluster of 1.19 and 1.20.
- Since 1.19 the TCP of pods looks for a smaller size when long segments are lost
  (packetization-layer-pmtud-mode, blackhole by default): a transfer that hangs for good on
  1.18, behind a path that says nothing or whose "packet too big" policies keep out, goes
  on after some seconds. One packet that is too long stays lost, and nodes' own connections
  are as before.
- Since 1.19 a pod reaches itself by a ClusterIP over IPv6 too, as the model had it.
- Since 1.19 BPF host routing looks up the route of every packet, and drops one that is
  too long for the node's device with a reason, "FIB lookup failed, 8"; 1.18 loses it
  without a word where there is one device.
- Since 1.20 CIDR rules match pods if policyCIDRMatchMode says so. A pod's identity then
  changes with the policies, a moment after they do, and holds labels of both its
  addresses: a range of IPv4 admits its IPv6 too. The model takes a range of the flow's
  family by the pod's address and leaves open what one of the other family makes of it.
  No row shows this yet, as the testbed cannot tell when identities have settled.
- Of the defaults that the agents print (--help) and the charts render, no other changed
  that the model reads, but for the underlay of a tunnel (1.20: by the enabled families),
  which it knew. The names of drop reasons are the same.

`
