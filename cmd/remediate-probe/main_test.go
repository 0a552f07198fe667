package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// pod is the environment of a good pod, with changes.
func pod(changes ...string) func(string) string {
	env := map[string]string{
		"NODE_NAME": "node-1", "POD_NAME": "probe-1", "POD_NAMESPACE": "remediate-probe", "POD_IPS": "127.77.9.1",
		"GOMEMLIMIT": "off", "GOGC": "100", "GOMAXPROCS": "2", // leaves the test's own runtime alone
	}
	for i := 0; i+1 < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return func(name string) string { return env[name] }
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	key, short := filepath.Join(dir, "key"), filepath.Join(dir, "short")
	for path, content := range map[string]string{key: strings.Repeat("k", 32), short: "secret"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		args   string
		env    func(string) string
		code   int
		stdout string
		stderr string
	}{
		{"version", "version", pod(), 0, "remediate-probe dev\n", ""},
		{"help", "--help", pod(), 0, "", "Usage: remediate-probe"},
		{"unknown flag", "--nonsense", pod(), 2, "", "not defined: -nonsense"},
		{"unknown command", "probe", pod(), 2, "", `unknown argument "probe"`},
		{"unknown target", "--target ajar", pod(), 2, "", "use open, guarded or host"},
		{"port", "--port 70000", pod(), 2, "", "port 70000 is none"},
		{"no HTTP port", "--http-port 0", pod(), 2, "", "port 0 is none"},
		{"backend port", "--backend-port 0", pod(), 2, "", "port 0 is none"},
		{"a backend port in use", "--target guarded --key " + key + " --backend-http-port " + inUse(t), pod(), 1, "", "cannot listen on 127.77.9.1"},
		{"mtu", "--mtu 10", pod(), 2, "", "--mtu 10 is none"},
		{"no node", "", pod("NODE_NAME", ""), 2, "", "NODE_NAME is not set"},
		{"no pod", "", pod("POD_NAME", ""), 2, "", "POD_NAME is not set"},
		{"no addresses", "", pod("POD_IPS", " , "), 2, "", "POD_IPS is not set"},
		{"bad address", "", pod("POD_IPS", "10.0.0"), 2, "", `POD_IPS has "10.0.0", which is no address`},
		{"no key", "--key " + filepath.Join(dir, "none"), pod(), 1, "", "is the Secret of the probes mounted?"},
		{"short key", "--key " + short, pod(), 1, "", "is no shared key"},
		{"a port in use", "--target guarded --key " + key + " --port " + inUse(t), pod(), 1, "", "cannot listen on 127.77.9.1"},
		{"no membership", "--key " + key + " --members " + dir, pod(), 0, "no members-0.json.gz there", ""},
		{"a twin without a membership", "--target host --key " + key + " --members " + dir, pod(), 0, "no members-0.json.gz there", ""},
		{"guarded", "--target guarded --key " + key, pod(), 0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opt := goleak.IgnoreCurrent()
			defer goleak.VerifyNone(t, opt)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			var stdout, stderr bytes.Buffer
			code := execute(ctx, strings.Fields(tt.args), tt.env, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, &stderr)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || (tt.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout %q, want %q", &stdout, tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) || (tt.stderr == "" && stderr.Len() > 0) {
				t.Errorf("stderr %q, want %q", &stderr, tt.stderr)
			}
			if strings.Contains(stderr.String(), "secret\n") || strings.Contains(stderr.String(), "kkkk") {
				t.Errorf("the key is in %q", &stderr)
			}
		})
	}
}

// inUse is a TCP port of the pod's address that somebody has.
func inUse(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.77.9.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPodIPs(t *testing.T) {
	got, err := podIPs("fd00:1::2, 10.0.0.1,::ffff:10.0.0.2,")
	want := []netip.Addr{netip.MustParseAddr("fd00:1::2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDeviceMTU(t *testing.T) {
	if got := deviceMTU([]netip.Addr{netip.MustParseAddr("127.0.0.1")}); got < 1280 || got > 65535 {
		t.Errorf("the loopback device has MTU %d", got)
	}
	if got := deviceMTU([]netip.Addr{netip.MustParseAddr("192.0.2.1")}); got != 0 {
		t.Errorf("nobody's address has MTU %d", got)
	}
}
