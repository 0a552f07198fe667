package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// targetHost is the target of the twin in the node's own network.
const targetHost = "host"

// options are the flags and the environment.
type options struct {
	target, members, key string
	port, httpPort       uint
	// Of the second listener, which the guarded target alone has.
	backendPort, backendHTTPPort uint
	self                         mesh.Self
}

const usage = `Usage: remediate-probe [flags]
       remediate-probe version

Answers the probes of other nodes. With --target open it also probes: its peers,
services and cluster DNS, as the membership says; with --target host other nodes.

Environment (Kubernetes' downward API): NODE_NAME, POD_NAME, POD_NAMESPACE, and
POD_IPS, the pod's addresses separated by commas.

Flags:
`

func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("remediate-probe", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.target, "target", v1alpha1.TargetOpen, "what this pod is: open (probes and answers), guarded (answers behind a network policy) or host (probes and answers in the node's own network)")
	fs.StringVar(&o.members, "members", "/etc/remediate/members", "directory of the membership's files, members-N.json.gz")
	fs.StringVar(&o.key, "key", "/etc/remediate/key/key", "file of the shared key")
	fs.UintVar(&o.port, "port", mesh.Port, "port for TCP and UDP")
	fs.UintVar(&o.httpPort, "http-port", mesh.HTTPPort, "port for HTTP")
	fs.UintVar(&o.backendPort, "backend-port", mesh.BackendPort, "port for TCP and UDP at which the guarded target answers for the Service of the probes")
	fs.UintVar(&o.backendHTTPPort, "backend-http-port", mesh.BackendHTTPPort, "the same for HTTP")
	fs.IntVar(&o.self.MTU, "mtu", 0, "bytes of a full-size packet; 0 is the MTU of the device that has the pod's address")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q: the only command is \"version\"", fs.Arg(0))
	}
	return o, o.complete(getenv)
}

// complete reads the environment and holds everything to its bounds.
func (o *options) complete(getenv func(string) string) error {
	switch o.target {
	case v1alpha1.TargetOpen, v1alpha1.TargetGuarded, targetHost:
	default:
		return fmt.Errorf("unknown --target %q: use open, guarded or host", o.target)
	}
	for _, p := range []uint{o.port, o.httpPort, o.backendPort, o.backendHTTPPort} {
		if p == 0 || p > 65535 {
			return fmt.Errorf("port %d is none: use 1 to 65535", p)
		}
	}
	if o.self.MTU != 0 && (o.self.MTU < 576 || o.self.MTU > 65535) {
		return fmt.Errorf("--mtu %d is none: use 576 to 65535, or 0", o.self.MTU)
	}
	o.self.HostNetwork = o.target == targetHost
	for name, to := range map[string]*string{"NODE_NAME": &o.self.Node, "POD_NAME": &o.self.Pod, "POD_NAMESPACE": &o.self.Namespace} {
		if *to = getenv(name); *to == "" {
			return fmt.Errorf("%s is not set: give it from the pod's own fields (downward API)", name)
		}
	}
	ips, err := podIPs(getenv("POD_IPS"))
	o.self.IPs = ips
	return err
}

// podIPs reads status.podIPs as the downward API writes it.
func podIPs(list string) ([]netip.Addr, error) {
	var out []netip.Addr
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("POD_IPS has %q, which is no address", s)
		}
		out = append(out, a.Unmap())
	}
	if len(out) == 0 {
		return nil, errors.New("POD_IPS is not set: give it from the pod's status.podIPs (downward API)")
	}
	return out, nil
}

// deviceMTU is the MTU of the device that has one of ips, 0 when none has.
func deviceMTU(ips []netip.Addr) int {
	devices, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, d := range devices {
		addrs, err := d.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			for _, ip := range ips {
				if err == nil && p.Addr().Unmap() == ip {
					return min(d.MTU, 65535)
				}
			}
		}
	}
	return 0
}
