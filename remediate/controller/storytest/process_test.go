//go:build linux

package storytest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// buildController builds the command as it is shipped.
func buildController(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remediate")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "github.com/remediate-dev/remediate/cmd/remediate")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the controller: %v\n%s", err, out)
	}
	return path
}

// process is the controller's, which may be started again and again.
type process struct {
	binary, kubeconfig, storage string
	// port is of its metrics, the next one of its health.
	port int
	log  journal
	cmd  *exec.Cmd
	// began is how much of the log is of earlier runs.
	began int
}

func newProcess(t testing.TB, binary, kubeconfig string, port int) *process {
	t.Helper()
	p := &process{binary: binary, kubeconfig: kubeconfig, storage: t.TempDir(), port: port}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the controller's last words:\n%s", p.log.tail(60))
		}
	})
	return p
}

// start begins a controller that elects itself as one of several replicas does, with
// a Lease that is free again soon after a kill.
func (p *process) start(t testing.TB) {
	t.Helper()
	if p.cmd != nil {
		t.Fatal("the controller runs already")
	}
	p.cmd = exec.Command(p.binary, "controller", "--kubeconfig="+p.kubeconfig, "--storage="+p.storage,
		fmt.Sprintf("--metrics-addr=127.0.0.1:%d", p.port), fmt.Sprintf("--health-addr=127.0.0.1:%d", p.port+1), "--log-level=info",
		"--enable-leader-election", "--leader-election-lease-duration=10s", "--leader-election-renew-deadline=8s", "--leader-election-retry-period=500ms",
		"--min-retry-delay=250ms", "--max-retry-delay=2s")
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.storage, "TMPDIR=" + p.storage, "RUNTIME_NAMESPACE=" + home}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.began = len(p.log.String())
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start the controller: %v", err)
	}
}

// kill ends it as kill -9 does. Its folder goes as well, as an emptyDir does with
// its pod.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
	p.cmd = nil
	entries, _ := os.ReadDir(p.storage)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(p.storage, e.Name()))
	}
}

// stop asks it to end, and fails the test when it does not, or not in good order.
func (p *process) stop(t testing.TB) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	cmd := p.cmd
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		p.cmd = nil
		if err != nil {
			t.Errorf("the controller ended: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("the controller did not end within 15 s of SIGTERM")
		_ = cmd.Process.Kill()
		<-ended
		p.cmd = nil
	}
}

// alive says whether it still runs.
func (p *process) alive() error {
	if p.cmd == nil {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil || strings.Contains(string(status), ") Z ") {
		return fmt.Errorf("the controller has ended by itself:\n%s", p.log.tail(20))
	}
	return nil
}

// leads says whether it was elected since it was started.
func (p *process) leads() bool {
	return p.cmd != nil && strings.Contains(p.log.String()[p.began:], "Successfully acquired lease")
}

// resident is how much memory it has, in MiB, as the kernel counts it.
func (p *process) resident() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib / 1024
		}
	}
	return 0
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

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(j.String()), "\n")
	all = slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, "Starting EventSource") })
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// kubeconfigOf writes the access of the controller's own account.
func (s *stage) kubeconfigOf(t testing.TB) string {
	t.Helper()
	return testbed.Kubeconfig(t, s.bed.ServiceAccount(t, home, account))
}
