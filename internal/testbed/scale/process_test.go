//go:build linux

package scale

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// build makes the command as it is shipped.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remediate")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/remediate-dev/remediate/cmd/remediate")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the controller: %v\n%s", err, out)
	}
	return path
}

// process is a program that runs beside the test.
type process struct {
	cmd *exec.Cmd
	log *journal
}

// journal keeps what a process says.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := strings.Split(strings.TrimSpace(j.text.String()), "\n")
	return strings.Join(all[max(0, len(all)-60):], "\n")
}

// run starts a program; it ends with the test at the latest.
func run(t testing.TB, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), log: &journal{}}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), p.log.tail())
		}
	})
	return p
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}

// stop asks it to end, so that it gives its Lease back, and waits for that.
func (p *process) stop(t testing.TB) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	_ = p.cmd.Wait() // how it ends is other tests' affair
}

// controllerProcess starts the binary as the kubelet does the Deployment's container, each
// time in the same pod, with a folder of its own that holds the chart, as nobody may be
// asked for it.
func controllerProcess(t testing.TB, binary, kubeconfig string) *process {
	t.Helper()
	storage := t.TempDir()
	charts := filepath.Join(storage, "charts")
	must(t, os.MkdirAll(charts, 0o700))
	if _, ok, err := examples.Chart(charts); err != nil || !ok {
		t.Fatalf("the chart is not there: run make chart (%v)", err)
	}
	return run(t, []string{"RUNTIME_NAMESPACE=" + home, "POD_NAME=remediate-0", "POD_UID=5d0a3c1e-4f52-4a3f-9f2b-7a1f5d1c0b9e"}, binary, "controller", "--kubeconfig="+kubeconfig, "--storage="+storage,
		"--metrics-addr=0", "--health-addr=0", "--log-level=info", "--enable-leader-election")
}

// memory is what a process has resident and had at most, in MiB (proc_pid_status(5)).
func (p *process) memory(t testing.TB) (now, peak int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			now = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			peak = kib / 1024
		}
	}
	return now, peak
}

// access is a kubeconfig of the controller's account.
func (c *Cluster) access(t testing.TB) string {
	t.Helper()
	return testbed.Kubeconfig(t, c.Access(t))
}
