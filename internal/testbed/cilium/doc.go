// Package cilium runs real Cilium agents, one per node, without containers: the
// unmodified cilium-agent with its BPF programs, the real CNI plugin, a real
// kube-apiserver, and packets of its own. What the agents do can be held against
// detect/datapath.
//
// A node is a network, mount and cgroup namespace in the network that a bare lab
// makes (internal/testbed/lab). A package that uses it has
//
//	func TestMain(m *testing.M) { cilium.Main(m) }
//
// which runs the tests as root in network, mount and process namespaces of their own:
// the machine's own devices are not there, and what is left when the tests are killed
// goes with the namespaces. Only cgroups outlive them, and are removed at the next
// start.
//
// It needs root, Linux with BPF and cgroup v2, and the commands that [Missing] names.
package cilium
