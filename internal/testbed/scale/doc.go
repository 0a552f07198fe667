// Package scale measures the controller in large clusters: a real API server holds
// as many Nodes, CiliumNodes, Pods and CiliumEndpoints as a test asks for, its
// kubelets are one server that tells what healthy probes tell, and the controller's
// own binary runs with the rights of config/default. What it asks for is read from
// the API server's audit log, and what it holds from the kernel.
//
// The tests beside it run with fifty nodes; REMEDIATE_SOAK=1 makes it five thousand.
package scale
