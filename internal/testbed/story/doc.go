// Package story is a cluster in which a whole incident can be played: a real API
// server and controller manager, real Flux controllers, a real Gitea, the real
// Cilium chart, and nodes and pods as network namespaces of one kernel.
//
// The datapath of each node is made of the cilium-config that Flux rendered, and
// read only when the node's agent pod is created: our model makes it ([Model]), or real
// cilium-agents do, which are processes of the DaemonSet's pods ([Agents]). Flux's
// controllers run in pods of this network, so that what cuts pods off from each
// other cuts Flux off as well.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { story.Main(m) }
//
// which runs its tests in namespaces of their own, as an ordinary user, see
// [lab.Main]; with real agents it is cilium.Main, as root. All
// servers listen on 127.0.0.1 within them.
package story
