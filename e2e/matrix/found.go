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

Behaviour of Cilium that no message tells:

- Endpoint routes turned on do not reach pods that are there: the agent decides about a
  pod's route and programs when the pod is made
  (pkg/endpoint/api/endpoint_api_manager.go:88). After a restart with
  endpointRoutes.enabled, packets from other nodes reached the older pods without their
  policies being asked. The rows here are of pods that were made with endpoint routes.

Not explained yet, and no row: behind a router that answers "packet too big", a transfer
of 100000 bytes over IPv6 did not recover within 1.5 seconds where IPv4 did. The model
says that both recover.

`
