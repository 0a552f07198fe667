package matrix

// found is what holding the model against agents has shown.
const found = `## What was found

Mistakes of the model, each corrected with the rows that show it:

- A pod that a ClusterIP leads back to itself was said to be delivered as to any other
  pod, subject to policies. Where services are translated packet by packet
  (socketLB.hostNamespaceOnly), Cilium before 1.19 does not carry it over IPv6 at all, and
  over IPv4 it comes from the agent's loopback address, past all policies.
- What a deny rule forbids is dropped as "Policy denied by denylist", not as "Policy
  denied", which stands for the want of a rule that allows.
- In audit mode the verdict that is reported is "audit", not "allow".
- What a pod sends in a family that its agent has switched off is dropped with a reason,
  "Unsupported L3 protocol".
- With endpoint routes and egress-masquerade-interfaces that name the pods' own devices,
  the receiver's node masquerades what others send to its pods. The model calls that
  unknown now.
- Behind a router that answers "packet too big", IPv6 was said to adapt as IPv4 does. The
  agent lets IPv4's answer in past all policies; IPv6's is asked about like any packet from
  that router, so that a sender whose ingress policies admit only pods never hears it, and
  its transfers hang (bpf/lib/policy.h:159, bpf/lib/conntrack.h:544). Pods that no ingress
  policy selects do adapt.
- A packet that a ClusterIP would lead back to its sender over IPv6 meets the sender's
  egress and ingress policies before it is lost.
- In a tunnel's cluster the pods' default route leaves room for the tunnel wherever it
  leads: a packet that would fit the device is refused also to a pod of the same node and
  to hosts outside, and a configured MTU loses the tunnel's share too (found by random
  search).
- With policyCIDRMatchMode nodes, an agent's own node has one identity with labels of all
  its addresses: a rule for its IPv4 range lets pods reach it over IPv6 (found by random
  search).

Behaviour of Cilium that no message tells:

- A native routing CIDR of 0.0.0.0/0 or ::/0 beside iptables masquerading, where iptables
  is of the nf_tables kind (1.8.9 here): the agent's rule "! -d 0.0.0.0/0" is refused, and
  the agent, which says that it is well, retries for ever with its chains hung in nowhere,
  so that the other family is not masqueraded either (found by random search). With
  iptables-legacy the rules are taken; the model calls the other family unknown.
- Endpoint routes turned on do not reach pods that are there: the agent decides about a
  pod's route and programs when the pod is made
  (pkg/endpoint/api/endpoint_api_manager.go:88). After a restart with
  endpointRoutes.enabled, packets from other nodes reached the older pods without their
  policies being asked. The rows here are of pods that were made with endpoint routes.

`
