package signature

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// timedOut says whether a message tells of an answer that did not come.
func timedOut(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "i/o timeout") || strings.Contains(m, "deadline exceeded") || strings.Contains(m, "timed out")
}

// dialled are addresses as Go's net package prints them: [fd00::1]:80, 10.0.0.1:80.
var dialled = regexp.MustCompile(`\[([0-9A-Fa-f:.]{2,45})\]:\d{1,5}\b|\b(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}\b`)

// maxNamed is how many addresses of a message are explained.
const maxNamed = 4

// named are the addresses with a port in a message and whose they are.
func named(s *snapshot.Snapshot, message string) []owned {
	var out []owned
	for _, m := range dialled.FindAllStringSubmatch(message, 4*maxNamed) {
		a, err := netip.ParseAddr(m[1] + m[2])
		if err != nil || len(out) == maxNamed || slices.ContainsFunc(out, func(o owned) bool { return o.addr == a }) {
			continue
		}
		if o := whose(s, a); o.text != "" {
			out = append(out, o)
		}
	}
	return out
}

// owned is an address with its owner; pod and service are nil unless it is one's.
type owned struct {
	addr    netip.Addr
	text    string
	service *snapshot.Service
	pod     *snapshot.Pod
}

// whose finds the Service, the pod or the node that has an address.
func whose(s *snapshot.Snapshot, a netip.Addr) owned {
	for i := range s.Services {
		if svc := &s.Services[i]; slices.Contains(svc.ClusterIPs, a) {
			return owned{addr: a, service: svc, text: fmt.Sprintf("Service %s/%s", svc.Namespace, svc.Name)}
		}
	}
	for i := range s.Pods {
		if p := &s.Pods[i]; !p.HostNetwork && slices.Contains(p.IPs, a) {
			return owned{addr: a, pod: p, text: fmt.Sprintf("pod %s/%s on %s", p.Namespace, p.Name, p.Node)}
		}
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; hasAddr(n, a) {
			return owned{addr: a, text: "node " + n.Name}
		}
	}
	return owned{}
}

// explained is a message with whose addresses it names.
func explained(s *snapshot.Snapshot, message string) string {
	var texts []string
	for _, o := range named(s, message) {
		texts = append(texts, fmt.Sprintf("%s is %s", o.addr, o.text))
	}
	if len(texts) == 0 {
		return message
	}
	return message + " (" + strings.Join(texts, ", ") + ")"
}

// serves says whether the address leads to a pod of the app.
func (o owned) serves(s *snapshot.Snapshot, name string) bool {
	switch {
	case o.pod != nil:
		return app(o.pod) == name
	case o.service != nil:
		return o.service.Name == name || slices.ContainsFunc(s.Pods, func(p snapshot.Pod) bool {
			return app(&p) == name && slices.ContainsFunc(p.IPs, func(a netip.Addr) bool { return slices.Contains(o.service.Endpoints, a) })
		})
	}
	return false
}
