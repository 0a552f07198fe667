//go:build linux

package story

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// echo answers each connection with what it reads, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return l.Addr().String()
}

// says writes a text and wants it back.
func says(c net.Conn, text string) error {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	buf := make([]byte, len(text))
	_, err := io.ReadFull(c, buf)
	return err
}

func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(l, echo(t))
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	open := dial()
	if err := says(open, "before"); err != nil {
		t.Fatal(err)
	}
	r.setCut(true)
	if err := says(open, "cut"); err == nil {
		t.Error("a connection outlived the cut")
	}
	if err := says(dial(), "cut"); err == nil {
		t.Error("a connection was made while cut")
	}
	r.setCut(false)
	if err := says(dial(), "again"); err != nil {
		t.Errorf("after the cut: %v", err)
	}
	r.close()
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("it listens after its end")
	}
}

func TestRelayToNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(l, "127.0.0.1:1")
	defer r.close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := says(c, "hello"); err == nil {
		t.Error("somebody answered")
	}
}

// TestChartServer: the chart comes over the way that our own client takes, and is the
// same archive each time.
func TestChartServer(t *testing.T) {
	dir := testbed.ChartDir(t)
	version, err := chartVersion(dir)
	if err != nil {
		t.Fatal(err)
	}
	srv := chartServer(t, dir, version)
	pull := func(version string) (string, error) {
		return render.Pull(context.Background(), source.Chart{Name: "cilium", Kind: "HelmRepository", URL: srv.URL, Version: version}, t.TempDir())
	}
	path, err := pull(version)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if _, err := pull("0.0.1"); err == nil {
		t.Error("a version that is not there came")
	}
}

func TestChartWithoutVersion(t *testing.T) {
	dir := t.TempDir()
	if _, err := chartVersion(dir); err == nil {
		t.Error("no Chart.yaml, and no error")
	}
	if err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("name: cilium\nappVersion: 1.2.3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := chartVersion(dir); err == nil {
		t.Errorf("version %q of a chart without one", v)
	}
	if _, err := pack(filepath.Join(dir, "none")); err == nil {
		t.Error("no folder, and no error")
	}
}

func TestField(t *testing.T) {
	const status = "Name:\tetcd\nVmPeak:\t  10 kB\nVmRSS:\t  4096 kB\n"
	for name, want := range map[string]string{"Name:": "etcd", "VmRSS:": "4096 kB", "VmSwap:": ""} {
		if got := field(status, name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
}
