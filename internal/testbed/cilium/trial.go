//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Trial is what became of an agent that was started to see whether it starts.
type Trial struct {
	// Starts: it was up when its start was over, complete or not, and was then ended.
	Starts bool
	// Message and Cause are why it ended by itself, as in [Refused].
	Message, Cause string
	// NoDatapath is why its datapath did not initialise, or why its start failed although
	// it stays up; empty when it has not said so.
	NoDatapath string
}

// completed is what an agent says when its start is over (daemon/cmd/daemon_main.go,
// 1.18.6; daemon/cmd/daemon.go, 1.20.2).
const completed = "Daemon initialization completed"

// operatorCompleted is what an operator says then (operator/cmd/root.go, 1.18.6, 1.20.2).
const operatorCompleted = "Initialization complete"

// trialPlumbing is what a namespace without proxy and operator needs. No start-up rule of
// the catalogue reads any of it.
func (n *Node) trialPlumbing() []setting {
	return []setting{
		{key: "k8s-kubeconfig-path", value: n.cluster.kubeconfig},
		{key: "lib-dir", value: libraryDir},
		{key: "cgroup-root", value: groupRoot},
		{key: "procfs", value: "/proc"},
		{key: "ip-masq-agent-config-path", value: masqFile, keep: true},
		{key: "cni-exclusive", value: "false", keep: true},
		{key: "external-envoy-proxy", value: "false", keep: true},
		{key: "enable-hubble", value: "false", keep: true},
		{key: "enable-health-checking", value: "false", keep: true},
		{key: "enable-bgp-control-plane", value: "false", keep: true},
	}
}

// Until is when a trial is over, unless the process ends before.
type Until int

const (
	// UntilComplete: its initialisation is complete.
	UntilComplete Until = iota
	// UntilNoDatapath: an agent has said besides that its datapath does not initialise.
	UntilNoDatapath
	// UntilEnd: it ends.
	UntilEnd
)

// Try starts an agent on the node from a clean state with the keys of a ConfigMap and
// arguments. It does not run afterwards. The error is of the testbed.
func (n *Node) Try(values map[string]string, until Until, args ...string) (Trial, error) {
	return n.try(n.cluster.agent, completed, values, until, args...)
}

// TryOperator starts an operator, the one for every IPAM mode but those of clouds, likewise.
// The cluster must have been made with [Options.Operator].
func (n *Node) TryOperator(values map[string]string, until Until) (Trial, error) {
	// A lease of its own, as one that was left is waited for.
	namespace := fmt.Sprintf("operator-%s-%d", n.Name, n.starts)
	if err := n.cluster.createNamespace(context.Background(), namespace); err != nil {
		return Trial{}, err
	}
	return n.try(n.cluster.operator, operatorCompleted, values, until, "--k8s-namespace="+namespace)
}

func (n *Node) try(binary, over string, values map[string]string, until Until, args ...string) (Trial, error) {
	n.stopAgent()
	if err := n.clean(); err != nil {
		return Trial{}, err
	}
	dir, err := n.writeTrial(values)
	if err != nil {
		return Trial{}, err
	}
	cmd := n.command(context.Background(), binary, append([]string{"--config-dir=" + dir}, args...)...)
	release, err := n.inGroup(cmd)
	if err != nil {
		return Trial{}, err
	}
	defer release()
	if n.agent, err = startJob(n.Space, cmd, filepath.Join(n.dir, fmt.Sprintf("agent-%d.log", n.starts))); err != nil {
		return Trial{}, err
	}
	defer n.stopAgent()
	return n.outcome(over, until)
}

// What an agent says of a datapath that does not initialise, and when its start fails and
// it stays up (daemon/cmd/daemon_main.go, 1.18.6).
var (
	noDatapath  = regexp.MustCompile(`(?m)^.*\b(Failed to initialize datapath|Daemon start failed)\b.*$`)
	startFailed = regexp.MustCompile(`(?m)^.*\bDaemon start failed\b`)
)

// outcome waits for the end of a start. When it is not as awaited, what there is counts.
func (n *Node) outcome(over string, until Until) (Trial, error) {
	complete := false
	err := n.agent.until("its start was over", startTime, func() error {
		text, err := os.ReadFile(n.agent.log)
		complete = strings.Contains(string(text), over) || startFailed.Match(text)
		switch {
		case err != nil:
			return err
		case !complete:
			return fmt.Errorf("it has not said %q", over)
		case until == UntilNoDatapath && !noDatapath.Match(text):
			return errors.New("it has not said that its datapath does not initialise")
		case until == UntilEnd:
			return errors.New("it has not ended")
		}
		return nil
	})
	if err != nil && !complete && !n.agent.ended() {
		return Trial{}, err
	}
	text, readErr := os.ReadFile(n.agent.log)
	out := Trial{Starts: !n.agent.ended()}
	if !out.Starts {
		out.Message, out.Cause = lastWords(string(text))
	}
	if line := noDatapath.FindString(string(text)); line != "" {
		out.NoDatapath = logValue(fatalMsg, line) + ": " + logValue(fatalError, line)
	}
	return out, readErr
}

// writeTrial makes the folder of a configuration, with a file per key.
func (n *Node) writeTrial(values map[string]string) (string, error) {
	n.starts++
	n.config = cilium.Config{Version: n.cluster.Version, Values: maps.Clone(values), Source: "trial"}
	for _, s := range n.trialPlumbing() {
		s.lay(n.config.Values)
	}
	dir := filepath.Join(n.dir, fmt.Sprintf("config-%d", n.starts))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for key, value := range n.config.Values {
		if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o644); err != nil {
			return "", err
		}
	}
	return dir, n.writeMasqAgent(nil)
}

// cleanScript takes away what an agent leaves: its devices, pinned programs and maps,
// its state but for compiled templates, and its iptables rules and reserved ports.
const cleanScript = `
for l in $(ls /sys/class/net | grep -E '^(cilium_|lxc)'); do ip link del "$l" 2>/dev/null || true; done
rm -rf /sys/fs/bpf/*
if [ -d /run/cilium/state ]; then find /run/cilium/state -mindepth 1 -maxdepth 1 ! -name templates -exec rm -rf {} +; fi
for f in iptables ip6tables; do for t in nat mangle raw filter; do $f -w -t $t -F; $f -w -t $t -X; done; done
echo > /proc/sys/net/ipv4/ip_local_reserved_ports
`

func (n *Node) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := n.Run(ctx, "sh", "-c", cleanScript); err != nil {
		return fmt.Errorf("failed to clean %s: %w", n.Name, err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cilium.io/v2", "kind": "CiliumNode"}}
	o.SetName(n.Name)
	return client.IgnoreNotFound(n.cluster.Client.Delete(ctx, o))
}

// Facts are what the catalogue asks of this machine's kernel and of the node, without
// those of files.
func (n *Node) Facts() (cilium.NodeFacts, error) {
	facts := cilium.NodeFacts{
		Devices:   []string{"eth0"},
		WireGuard: n.hasDevices("wireguard"),
		Netkit:    n.hasDevices("netkit"),
		Geneve:    n.hasDevices("geneve", "id", "1", "remote", "192.0.2.1"),
		IPIP:      n.hasDevices("ipip"),
		IP6Tables: snapshot.Yes,
	}
	const masked = "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel " +
		"aead 'rfc4106(gcm(aes))' 0x0123456789abcdef0123456789abcdef01234567 128 output-mark 0x1 mask 0xff && ip xfrm state flush"
	_, err := n.Run(context.Background(), "sh", "-c", masked)
	facts.OutputMasks = snapshot.TriOf(err == nil)
	_, err = n.Run(context.Background(), "cat", "/proc/sys/net/core/default_qdisc")
	facts.DefaultQdisc = snapshot.TriOf(err == nil)
	text, err := n.Run(context.Background(), "cat", "/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return facts, err
	}
	for i, port := range strings.Fields(text)[:2] {
		if facts.EphemeralPorts[i], err = strconv.Atoi(port); err != nil {
			return facts, err
		}
	}
	return facts, nil
}

// hasDevices says whether the kernel makes devices of a kind.
func (n *Node) hasDevices(kind string, args ...string) snapshot.Tri {
	const name = "fact0"
	add := append([]string{"link", "add", name, "type", kind}, args...)
	if _, err := n.Run(context.Background(), "ip", add...); err != nil {
		return snapshot.No
	}
	_, err := n.Run(context.Background(), "ip", "link", "del", name)
	return snapshot.TriOf(err == nil)
}

// WriteFile writes a file of the node's /run/cilium, which goes with the node.
func (n *Node) WriteFile(name, text string) error {
	return os.WriteFile(n.path(name), []byte(text), 0o600)
}
