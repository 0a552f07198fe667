// Package lab joins nodes and pods, which are network namespaces, by a bridge, so
// that tests send packets through a real kernel: its routing, its connection
// tracking, and the rules that Cilium's iptables mode installs.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
// which runs the tests in namespaces of their own (user, network, mount and
// process), as an ordinary user as well as as root. [New] then makes a lab out of a
// cilium-config, the same one that detect/datapath reads. Everything goes away with
// the test; what is left when the test binary is killed goes with its namespaces.
//
// It needs Linux with user namespaces and the command nft.
package lab
