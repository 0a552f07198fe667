//go:build linux

package cilium

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// temporary is where tests put their files: a tmpfs that goes with the namespaces.
const temporary = "/run"

// Main runs a package's tests as root in namespaces of their own and exits with their
// code; where something is missing it says what to do, and exits with 1.
func Main(m *testing.M) {
	if os.Getenv(peerMark) != "" {
		os.Exit(servePeer(os.Stdin, os.Stdout))
	}
	if err := Missing(); err != nil {
		fmt.Fprintf(os.Stderr, "cilium: %v\n", err)
		os.Exit(1)
	}
	if err := os.Setenv("TMPDIR", temporary); err != nil {
		fmt.Fprintf(os.Stderr, "cilium: %v\n", err)
		os.Exit(1)
	}
	log.SetLogger(logr.Discard()) // else controller-runtime complains of none
	lab.RootMain(m)
}

// compiler of the BPF programs: Debian's package and command.
const compiler = "clang-19"

// needs are the commands that agents and tests run, with their Debian packages.
func needs() [][2]string {
	return [][2]string{
		{compiler, compiler},
		{"iptables", "iptables"}, {"ip6tables", "iptables"}, {"ipset", "ipset"}, {"ip", "iproute2"},
		{"conntrack", "conntrack"}, {"nft", "nftables"},
		{"nsenter", "util-linux"}, {"unshare", "util-linux"}, {"mount", "mount"},
	}
}

// Missing says what this machine lacks, and how to get it.
func Missing() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("real agents load BPF programs, which takes root: run sudo make e2e")
	}
	var commands, packages []string
	for _, need := range needs() {
		if _, err := exec.LookPath(need[0]); err != nil {
			commands = append(commands, need[0])
			if !strings.Contains(strings.Join(packages, " ")+" ", need[1]+" ") {
				packages = append(packages, need[1])
			}
		}
	}
	if len(commands) > 0 {
		return fmt.Errorf("missing commands: %s; install them:\n  sudo apt-get install -y --no-install-recommends %s",
			strings.Join(commands, ", "), strings.Join(packages, " "))
	}
	for _, path := range []string{"/sys/fs/bpf", "/sys/kernel/btf/vmlinux"} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the kernel has no BPF as Cilium needs it: %w; take one with CONFIG_BPF_SYSCALL and CONFIG_DEBUG_INFO_BTF", err)
		}
	}
	return nil
}
