//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// mode makes TestHelper do something in a test binary that TestMainRuns starts.
const mode = "REMEDIATE_LAB_TEST_MODE"

func TestHelper(t *testing.T) {
	switch os.Getenv(mode) {
	case "":
		return
	case "fail":
		t.Fatal("failed as told")
	case "exit":
		os.Exit(7)
	case "lab":
		l := New(t, Spec{Nodes: 2})
		fmt.Println("uid", os.Geteuid(), "pid", os.Getpid(), "nodes", len(l.Nodes))
	case "wait":
		l := New(t, Spec{Nodes: 1})
		if err := l.Nodes[0].Start(exec.Command("sleep", "1000")); err != nil {
			t.Fatal(err)
		}
		child := exec.Command("sleep", "1000") // holds standard output open
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("waiting")
		select {}
	}
}

func helper(t *testing.T, do string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestHelper$", "-test.timeout=1m")
	// One that is killed leaves its files, which are this test's.
	cmd.Env = append(os.Environ(), mode+"="+do, "TMPDIR="+t.TempDir())
	return cmd
}

func TestMainRuns(t *testing.T) {
	t.Parallel()
	before := devices(t)
	for _, tc := range []struct {
		mode string
		code int
		out  string
	}{
		{"lab", 0, "uid 0 pid 1 nodes 2\n"},
		{"fail", 1, "failed as told"},
		{"exit", 7, ""},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			out, err := helper(t, tc.mode).CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := codeOf(exit); code != tc.code || !strings.Contains(string(out), tc.out) {
				t.Errorf("code %d, want %d; output %q lacks %q", code, tc.code, out, tc.out)
			}
		})
	}
	if after := devices(t); !slices.Equal(before, after) {
		t.Errorf("devices before %q, after %q", before, after)
	}
}

func codeOf(e *exec.ExitError) int {
	if e == nil {
		return 0
	}
	return e.ExitCode()
}

// devices are those of this process's own network.
func devices(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		out = append(out, l.Attrs().Name)
	}
	return out
}

// TestNothingSurvives: whatever ends the outer process, its labs' processes end too.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd := helper(t, "wait")
			// The pipe ends when the last process that holds it has ended.
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			cmd.Stdout = in
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			in.Close()
			if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("waiting\n"))); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(out); err != nil {
				t.Errorf("something holds standard output: %v after %q", err, rest)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("ended well")
			}
		})
	}
}

// TestWithoutMain: a package that forgot lab.Main is told so, before anything is made.
func TestWithoutMain(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 1})
	err := l.Nodes[0].Do(alone) // a network with devices, as a machine has
	if err == nil || !strings.Contains(err.Error(), "must call lab.Main") {
		t.Errorf("error %v, want one that names lab.Main", err)
	}
}

func TestRefusedNamespaces(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 1})
	// No more user namespaces below this process: its own limit, not the machine's.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "unshare -Urm sh -c 'mount -t proc proc /proc 2>/dev/null; echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all " + exe + " -test.run=^TestHelper$'"
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := l.Nodes[0].Start(cmd); err != nil {
		t.Fatal(err)
	}
	l.Nodes[0].Wait(cmd)
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "sysctl -w user.max_user_namespaces") {
		t.Errorf("%s: %s", cmd.ProcessState, out.String())
	}
}
