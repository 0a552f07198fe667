//go:build linux

package cilium

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Node is a cluster node. As a [Host] it is the node's own network.
type Node struct {
	*Host
	// Network is the node as the lab has it.
	Network *lab.Node

	cluster *Cluster
	dir     string
	holder  *job // keeps the namespaces
	agent   *job
	starts  int
	config  cilium.Config
	routers []netip.Addr
	monitor *monitor
	api     *http.Client
}

// holderScript makes the mounts of a node, in its own mount namespace and cgroup
// namespace, and stays. /sys is that of the node's network and /proc/sys/kernel is
// the machine's, so neither may be written.
const holderScript = `set -e
mount -t sysfs -o ro sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/cilium
mount -t tmpfs -o mode=755 tmpfs /run/cilium
mkdir -p ` + groupRoot + `
mount -t cgroup2 cgroup2 ` + groupRoot + `
mount --bind /proc/sys/kernel /proc/sys/kernel
mount -o remount,bind,ro /proc/sys/kernel
touch /run/cilium/ready
exec sleep infinity
`

const (
	groupRoot  = "/run/cilium/cgroupv2"
	libraryDir = "/run/cilium/lib"
	masqFile   = "/run/cilium/ip-masq-agent"
	holderTime = 20 * time.Second
	// graceTime is how long an agent may take to end, as the kubelet gives it
	// (terminationGracePeriodSeconds of the chart is 1).
	graceTime = 2 * time.Second
)

// newNode returns a node also with an error when there is one to close.
func (c *Cluster) newNode(l *lab.Node) (*Node, error) {
	group, err := os.MkdirTemp(c.group, l.Name+"-")
	if err != nil {
		return nil, err
	}
	n := &Node{
		Host:    &Host{Name: l.Name, Space: l.Space, Addrs: l.IPs(), cluster: c, group: group},
		Network: l, cluster: c, dir: filepath.Join(c.dir, l.Name),
	}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command("unshare", "--mount", "--cgroup", "--propagation", "private", "--", "sh", "-c", holderScript)
	release, err := n.inGroup(cmd)
	if err != nil {
		return nil, err
	}
	defer release()
	if n.holder, err = startJob(l.Space, cmd, filepath.Join(n.dir, "mounts.log")); err != nil {
		return nil, err
	}
	err = n.holder.until("its mounts are there", holderTime, func() error {
		_, err := os.Stat(n.path("/run/cilium/ready"))
		return err
	})
	if err != nil {
		return n, err
	}
	n.api = n.dialAgent()
	return n, n.copyPrograms()
}

// path is a file of the node as the test sees it.
func (n *Node) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(n.holder.cmd.Process.Pid), "root", name)
}

// copyPrograms gives the agent the sources of its BPF programs, where it writes too.
func (n *Node) copyPrograms() error {
	return os.CopyFS(n.path(filepath.Join(libraryDir, "bpf")), os.DirFS(filepath.Join(n.cluster.source, "bpf")))
}

// command is a command that runs in the node's namespaces when it is started in its
// network namespace.
func (n *Node) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	all := append([]string{"--target", strconv.Itoa(n.holder.cmd.Process.Pid), "--mount", "--cgroup", "--", name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", all...)
	cmd.Env = []string{
		"PATH=" + n.cluster.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + n.dir, "TMPDIR=" + n.dir, "XTABLES_LOCKFILE=/run/cilium/xtables.lock",
		"K8S_NODE_NAME=" + n.Name, "CILIUM_K8S_NAMESPACE=" + ciliumNamespace,
	}
	return cmd
}

// Debug runs cilium-dbg on the node and returns what it printed.
func (n *Node) Debug(ctx context.Context, args ...string) (string, error) {
	return n.output(n.command(ctx, n.cluster.dbg, args...))
}

// Run runs any command in the node's namespaces.
func (n *Node) Run(ctx context.Context, name string, args ...string) (string, error) {
	return n.output(n.command(ctx, name, args...))
}

func (n *Node) output(cmd *exec.Cmd) (string, error) {
	f, err := os.CreateTemp(n.dir, "command-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_ = f.Close()
	out, err := os.CreateTemp(n.dir, "output-")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout = out
	release, err := n.inGroup(cmd)
	if err != nil {
		return "", err
	}
	defer release()
	j, err := startJob(n.Space, cmd, f.Name())
	if err != nil {
		return "", err
	}
	<-j.done
	text, err := os.ReadFile(out.Name())
	if err == nil && !cmd.ProcessState.Success() {
		err = fmt.Errorf("%v on %s: %s\n%s%s", cmd.Args[6:], n.Name, cmd.ProcessState, text, j.says())
	}
	return string(text), err
}

// inGroup has a command start in the node's cgroup.
func (h *Host) inGroup(cmd *exec.Cmd) (release func(), err error) {
	if h.group == "" {
		return func() {}, nil
	}
	f, err := os.Open(h.group)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	return func() { _ = f.Close() }, nil
}

// dialAgent is a client of the agent's own API, a socket in the node's /run.
func (n *Node) dialAgent() *http.Client {
	path := n.path("/run/cilium/cilium.sock")
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
}

// IP is the node's InternalIP of a family.
func (n *Node) IP(family string) netip.Addr { return n.Network.IP(family) }

// Config is what the agent was started with last, plumbing included.
func (n *Node) Config() cilium.Config { return n.config }

// close ends what runs on the node.
func (n *Node) close() {
	n.hangUp()
	if n.monitor != nil {
		n.monitor.stop()
	}
	if n.agent != nil {
		n.agent.stop(0)
	}
	if n.holder != nil {
		n.holder.stop(0)
	}
}
